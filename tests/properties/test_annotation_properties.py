"""Annotation tables: what is written comes back, and whatever a file holds, the only error is the documented one."""

import csv
import io
import json
import zipfile
from contextlib import suppress

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.chart import BarChart, Reference
from steady import STEADY

from mmseg_textseg.datasets.annotation_readers import read_table
from mmseg_textseg.datasets.annotations import AnnotationError, load_annotations, read_expressions

COLUMNS = ('image', 'expression', 'note "in; quotes"')
AWKWARD = st.sampled_from(['"', "'", ',', ';', '\t', '\n', '\u2028', '\x85', '\ufeff', '\\', '=', '#', 'é', '😀', 'ש'])
# What XML can hold: no control characters, no surrogates, no non-characters; \r becomes \n there.
TEXT = st.text(
    st.characters(exclude_categories=['Cc', 'Cs', 'Cn']) | AWKWARD.filter(lambda c: c != '\x85'), max_size=30
)
# What text files can hold; the csv module of Python 3.10 reads no NUL.
ANY_TEXT = st.text(st.characters(exclude_categories=['Cs'], exclude_characters='\x00') | AWKWARD, max_size=30)


def tables(cell):
    # A row without anything is no row; one letter makes each a row.
    row = st.tuples(cell.map(lambda text: f'a{text}'), cell, cell)
    return st.lists(row, min_size=1, max_size=5)


def cells(path) -> list[tuple]:
    table = read_table(str(path))
    assert table.columns == list(COLUMNS)
    assert not table.problems
    return [tuple(record.values[column] for column in COLUMNS) for record in table.records]


@STEADY
@given(rows=tables(ANY_TEXT), ascii_only=st.booleans(), mark=st.booleans(), end=st.sampled_from(['\n', '\r\n', '\n\n']))
def test_jsonl_comes_back(tmp_path, rows, ascii_only, mark, end):
    lines = [json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=ascii_only) for row in rows]
    text = ('\ufeff' if mark else '') + end.join(lines)
    (tmp_path / 't.jsonl').write_bytes(text.encode())
    assert cells(tmp_path / 't.jsonl') == rows
    (tmp_path / 't.json').write_bytes((('\ufeff' if mark else '') + f'[{",".join(lines)}]').encode())
    assert cells(tmp_path / 't.json') == rows


@STEADY
@given(
    rows=tables(ANY_TEXT),
    delimiter=st.sampled_from(',;\t'),
    mark=st.booleans(),
    # With \n alone, csv writes a cell of \r without quotes, unless all have them.
    style=st.sampled_from([('\r\n', csv.QUOTE_MINIMAL), ('\r\n', csv.QUOTE_ALL), ('\n', csv.QUOTE_ALL)]),
)
def test_csv_comes_back(tmp_path, rows, delimiter, mark, style):
    encoding = 'utf-8-sig' if mark else 'utf-8'
    with (tmp_path / 't.csv').open('w', encoding=encoding, newline='') as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator=style[0], quoting=style[1])
        writer.writerows([COLUMNS, *rows])
    assert cells(tmp_path / 't.csv') == rows


@STEADY
@given(rows=tables(TEXT), empty_first=st.integers(0, 2))
def test_xlsx_comes_back(tmp_path, rows, empty_first):
    book = openpyxl.Workbook()
    for number, row in enumerate([COLUMNS, *rows], start=1 + empty_first):
        for column, text in enumerate(row, start=1):
            cell = book.active.cell(number, column)
            cell.value, cell.data_type = text, 's'  # '=a' is text here, and no formula
    book.save(tmp_path / 't.xlsx')
    assert cells(tmp_path / 't.xlsx') == [tuple(text or None for text in row) for row in rows]


@STEADY
@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=6))
def test_rows_are_read_stripped_or_named(tmp_path, texts):
    """Each sentence is in the rows, or its line is in the error; none is dropped."""
    path = tmp_path / 't.jsonl'
    path.write_text('\n'.join(json.dumps(dict(image='a.png', mask='m.png', text=text)) for text in texts))
    bad = [number for number, text in enumerate(texts, start=1) if not any(map(str.isalpha, text))]
    if bad:
        with pytest.raises(AnnotationError) as caught:
            load_annotations(str(path))
        assert [line.split(':')[0] for line in caught.value.problems] == [f't.jsonl row {number}' for number in bad]
        return
    assert [row.expressions for row in load_annotations(str(path))] == [(text.strip(),) for text in texts]
    assert read_expressions(str(path)) == [text.strip() for text in texts]


KEYS = ['image', 'Image', 'mask', 'expression', 'text', 'p6', 'images', 'annotations', 'id', 'image_id', 'file_name']
KEYS += ['caption', 'slice']
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=5),
    max_leaves=25,
)
ENTRY = st.dictionaries(st.sampled_from(KEYS), JSON | st.integers(0, 3), max_size=6)
COCO = st.fixed_dictionaries(dict(images=JSON | st.lists(ENTRY), annotations=JSON | st.lists(ENTRY)))


def read_all(path, folder):
    """The errors that are documented are let through; any other fails the test."""
    for read in (
        lambda: load_annotations(str(path)),
        lambda: load_annotations(str(path), str(folder), allow_empty_text=True),
        lambda: read_expressions(str(path)),
    ):
        with suppress(AnnotationError):
            read()


@STEADY
@given(value=JSON | st.lists(ENTRY) | COCO)
def test_any_json_is_read_or_refused(tmp_path, value):
    (tmp_path / 't.json').write_text(json.dumps(value))
    read_all(tmp_path / 't.json', tmp_path)


@STEADY
@given(lines=st.lists(JSON.map(json.dumps) | ENTRY.map(json.dumps) | ANY_TEXT, max_size=5))
def test_any_lines_are_read_or_refused(tmp_path, lines):
    (tmp_path / 't.jsonl').write_bytes('\n'.join(lines).encode())
    read_all(tmp_path / 't.jsonl', tmp_path)


@STEADY
@given(content=st.binary(max_size=60) | ANY_TEXT.map(str.encode), extension=st.sampled_from(['csv', 'json', 'jsonl']))
def test_any_bytes_are_read_or_refused(tmp_path, content, extension):
    (tmp_path / f't.{extension}').write_bytes(b'image,text\n' + content if extension == 'csv' else content)
    read_all(tmp_path / f't.{extension}', tmp_path)


def small_book() -> dict[str, bytes]:
    book, content = openpyxl.Workbook(), io.BytesIO()
    for row in [('image', 'text', 'mm'), ('a.png', 'left', 1.5)]:
        book.active.append(row)
    book.save(content)
    with zipfile.ZipFile(content) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


PARTS = small_book()


@STEADY
@given(data=st.data(), name=st.sampled_from(sorted(PARTS)))
def test_any_damage_to_a_workbook_is_read_or_refused(tmp_path, data, name):
    """A part is cut, or a stretch of it replaced or doubled, or it is missing."""
    part = PARTS[name]
    start = data.draw(st.integers(0, len(part)))
    end = data.draw(st.integers(start, min(len(part), start + 40)))
    middle = data.draw(st.binary(max_size=6) | st.just(2 * part[start:end]) | st.just(b'99999') | st.none())
    with zipfile.ZipFile(tmp_path / 't.xlsx', 'w') as archive:
        for other, content in PARTS.items():
            if other != name:
                archive.writestr(other, content)
            elif middle is not None:
                archive.writestr(other, part[:start] + middle + part[end:])
    read_all(tmp_path / 't.xlsx', tmp_path)


def workbook_with(path, name: str, old: bytes, new: bytes) -> str:
    assert old in PARTS[name]
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for other, content in PARTS.items():
            archive.writestr(other, content.replace(old, new) if other == name else content)
    return str(path)


SHEET = 'xl/worksheets/sheet1.xml'
ENDLESS = {  # what a file of a few kilobytes may ask to be unfolded
    'merged cells': (b'</sheetData>', b'</sheetData><mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>'),
    'a link over all cells': (
        b'</sheetData>',
        b'</sheetData><hyperlinks><hyperlink ref="A1:XFD1048576" location="A1"/></hyperlinks>',
    ),
    'the size that is written': (b'<dimension ref="A1:C2"', b'<dimension ref="A1:XFD1048576"'),
}


@pytest.mark.parametrize('case', ENDLESS)
def test_a_workbook_unfolds_nothing_that_is_not_there(tmp_path, case):
    table = read_table(workbook_with(tmp_path / 't.xlsx', SHEET, *ENDLESS[case]))
    assert [record.values for record in table.records] == [dict(image='a.png', text='left', mm=1.5)]


@pytest.mark.parametrize(
    'old_new',
    [
        (b'<row r="2"', b'<row r="1048576000"'),
        (b'</sheetData>', b'<row r="3">' + b'<c r="ZZZ3"><v>1</v></c></row>' + b'</sheetData>'),
    ],
    ids=['far below', 'far beside'],
)
def test_a_cell_far_from_the_table_is_refused_early(tmp_path, monkeypatch, old_new):
    monkeypatch.setattr('mmseg_textseg.datasets.annotation_readers.MAX_CELLS', 10_000)
    with pytest.raises(AnnotationError, match=r"worksheet 'Sheet' row \d+: more than 10,000 cells"):
        read_table(workbook_with(tmp_path / 't.xlsx', SHEET, *old_new))


def test_an_archive_that_is_small_on_the_disk_only_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr('mmseg_textseg.datasets.annotation_readers.MAX_UNPACKED', 1_000_000)
    path = workbook_with(tmp_path / 't.xlsx', SHEET, b'</sheetData>', b'</sheetData>' + b' ' * 1_000_000)
    with pytest.raises(AnnotationError, match=r'unpacks to 1,0\d\d,\d\d\d bytes of at most 1,000,000: split'):
        read_table(path)


def test_few_bytes_of_csv_do_not_make_many_cells(tmp_path, monkeypatch):
    monkeypatch.setattr('mmseg_textseg.datasets.annotation_readers.MAX_CELLS', 10_000)
    path = tmp_path / 't.csv'
    path.write_text(','.join(f'c{i}' for i in range(200)) + '\na' * 51)
    with pytest.raises(AnnotationError, match='51 rows under 200 columns are more than 10,000 cells'):
        read_table(str(path))
    path.write_text(','.join(f'c{i}' for i in range(200)) + '\na' * 50)
    assert len(read_table(str(path)).records) == 50


def test_a_sheet_that_is_a_chart_is_no_table(tmp_path):
    book = openpyxl.Workbook()
    for row in [('image', 'text'), ('a.png', 'left')]:
        book.active.append(row)
    chart = BarChart()
    chart.add_data(Reference(book.active, min_col=1, min_row=1, max_row=2))
    book.create_chartsheet('drawn').add_chart(chart)
    book.save(tmp_path / 't.xlsx')
    assert [record.values['text'] for record in read_table(str(tmp_path / 't.xlsx')).records] == ['left']
    book.remove(book.active)
    book.save(tmp_path / 't.xlsx')
    with pytest.raises(AnnotationError, match='the workbook has no worksheet'):
        read_table(str(tmp_path / 't.xlsx'))
