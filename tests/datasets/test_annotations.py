"""Tables of every kind -> rows; every kind of bad row -> one error that names it."""

import json
import pickle

import openpyxl
import pytest

from mmseg_textseg.datasets import file_names
from mmseg_textseg.datasets.annotations import (
    AnnotationError,
    iter_annotations,
    load_annotations,
    read_expressions,
)


def write_table(path, rows, columns=None):
    """Write rows (lists) as the extension of the path says."""
    columns = columns or ['Image', 'Description']
    if path.suffix == '.xlsx':
        book = openpyxl.Workbook()
        for row in [columns, *rows]:
            book.active.append(row)
        book.save(path)
    elif path.suffix == '.csv':
        path.write_text('\n'.join(','.join(map(str, row)) for row in [columns, *rows]), encoding='utf-8')
    else:
        objects = [dict(zip(columns, row, strict=True)) for row in rows]
        lines = '\n'.join(json.dumps(item) for item in objects)
        path.write_text(json.dumps(objects) if path.suffix == '.json' else lines, encoding='utf-8')
    return str(path)


@pytest.fixture
def folders(tmp_path):
    """img/{a,b}.tif, mask/{a,b}.png; the content is never read here."""
    for name in ('img/a.tif', 'img/b.tif', 'mask/a.png', 'mask/b.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return dict(image_dir=str(tmp_path / 'img'), mask_dir=str(tmp_path / 'mask'))


def problems_of(*args, **kwargs):
    with pytest.raises(AnnotationError) as caught:
        load_annotations(*args, **kwargs)
    return caught.value.problems


@pytest.mark.parametrize('extension', ['xlsx', 'csv', 'json', 'jsonl'])
def test_every_format_gives_the_same_rows(tmp_path, folders, extension):
    rows = [['a.png', 'one node', 'left'], ['b.png', 'two nodes', 'right']]
    table = write_table(tmp_path / f't.{extension}', rows, ['Image', 'Description', 'side'])
    first, second = load_annotations(table, **folders)
    assert first.image == str(tmp_path / 'img' / 'a.tif')  # by stem: the table says .png
    assert first.mask == str(tmp_path / 'mask' / 'a.png')
    assert (first.expressions, first.attributes) == (('one node',), {'side': 'left'})
    assert (second.expressions, second.attributes) == (('two nodes',), {'side': 'right'})
    header = 0 if extension.startswith('json') else 1
    assert (first.source, second.source) == tuple(f't.{extension} row {n + header}' for n in (1, 2))


@pytest.mark.parametrize(
    ('content', 'expected', 'row'),
    [
        (b'\xef\xbb\xbfImage,Description\r\na.png,one node\r\n', 'one node', 2),
        (b'Image;Description\r\na.png;one, and two\r\n', 'one, and two', 2),
        (b'Image\tDescription\na.png\tone, and; two\n', 'one, and; two', 2),
        (b'Image,Description\na.png,"one, and ""two"""\n', 'one, and "two"', 2),
        (b'Image,Description\ra.png,one node\r', 'one node', 2),
        (b'Image,Description\n\n,\na.png,one node\n\n', 'one node', 4),
        (b',Image,Description\n0,a.png,one node\n', 'one node', 2),
        ('Image,Description\na.png,läsion\n'.encode(), 'läsion', 2),
    ],
)
def test_csv_dialects(tmp_path, folders, content, expected, row):
    (tmp_path / 't.csv').write_bytes(content)
    (only,) = load_annotations(str(tmp_path / 't.csv'), **folders)
    assert (only.expressions, only.source) == ((expected,), f't.csv row {row}')


def test_csv_counts_lines_past_a_cell_of_several_lines(tmp_path):
    (tmp_path / 't.csv').write_text('Image,Description\na.png,"one\nnode"\nb.png,\n')
    (problem,) = problems_of(str(tmp_path / 't.csv'))
    assert problem.startswith("t.csv row 4: 'Description' is empty")


@pytest.mark.parametrize(
    ('columns', 'options'),
    [
        (['image', 'mask', 'expression'], {}),
        (['IMG_NAME', 'Mask Name', 'Sentence'], {}),
        (['scan', 'label', 'note'], dict(image_column='Scan', mask_column='LABEL', text_column='note')),
    ],
)
def test_columns_by_name_or_by_option(tmp_path, folders, columns, options):
    table = write_table(tmp_path / 't.csv', [['a.tif', 'b.png', 'one node']], columns)
    (row,) = load_annotations(table, **folders, **options)
    assert row.image.endswith('img/a.tif')
    assert row.mask.endswith('mask/b.png')
    assert row.expressions == ('one node',)
    assert row.attributes == {}


@pytest.mark.parametrize(
    ('columns', 'options', 'expected'),
    [
        (['scan', 'note'], {}, ['image_column', 'scan, note', 'text_column']),
        (['Image', 'Description', 'Text'], {}, ["'Description' or 'Text'", 'set text_column']),
        (['Image', 'Text'], dict(mask_column='roi'), ["mask_column='roi'", 'Image, Text']),
        (['Image', 'Image', 'Text'], {}, ["'Image' stands twice"]),
        (['Image', 'Text'], dict(required_columns=['case_id']), ["no column 'case_id'"]),
    ],
)
def test_column_errors_name_columns_and_option(tmp_path, columns, options, expected):
    table = write_table(tmp_path / 't.csv', [['x'] * len(columns)], columns)
    text = '\n'.join(problems_of(table, **options))
    assert [part for part in expected if part not in text] == []


@pytest.mark.parametrize(
    ('cell', 'expected'),
    [
        ('', 'is empty'),
        (None, 'is empty'),
        (3.5, '3.5 (float), not text'),
        (True, 'True (bool), not text'),
        ('12.5', 'without a letter'),
        ('#N/A', 'spreadsheet error'),
        ([], 'empty list'),
        (['one node', ''], 'is empty'),
        ({'p1': 'node'}, "has no 'p6', only p1"),
    ],
)
def test_expression_that_is_no_text(tmp_path, folders, cell, expected):
    table = write_table(tmp_path / 't.json', [['b.png', 'fine'], ['a.png', cell]])
    (problem,) = problems_of(table, **folders)
    assert problem.startswith("t.json row 2: 'Description'")
    assert expected in problem


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('c.png', 'no image of that name or stem'),
        ('a.txt', 'no image of that name or stem'),  # not a picture's ending: no part of it is taken off
        ('../mask/a.png', 'leads out of the image folder'),
        ('/etc/passwd', 'leads out of the image folder'),
        ('..\\mask\\a.png', 'leads out of the image folder'),
        ('twice.png', 'may be the image twice.bmp or twice.jpg'),
        (7, 'not text'),
    ],
)
def test_image_that_is_not_there(tmp_path, folders, name, expected):
    for ending in ('bmp', 'jpg', 'txt'):
        (tmp_path / 'img' / f'twice.{ending}').touch()
    table = write_table(tmp_path / 't.json', [[name, 'one node']])
    (problem, *_) = problems_of(table, folders['image_dir'])
    assert problem.startswith("t.json row 1: 'Image'")
    assert expected in problem


@pytest.mark.parametrize('name', ['sub/c', 'sub/c.png', './sub/c.tif', 'sub\\c.tif', 'x/../sub/c.tif'])
def test_image_in_a_folder_below(tmp_path, folders, name):
    (tmp_path / 'img' / 'sub').mkdir()
    (tmp_path / 'img' / 'sub' / 'c.tif').touch()
    table = write_table(tmp_path / 't.json', [[name, 'one node']])
    (row,) = load_annotations(table, folders['image_dir'])
    assert row.image == str(tmp_path / 'img' / 'sub' / 'c.tif')
    assert row.mask is None


def test_a_dot_in_the_stem_is_no_ending(tmp_path, folders):
    for name in ('case.1.png', 'case.2.png'):
        (tmp_path / 'img' / name).touch()
    table = write_table(tmp_path / 't.json', [['case.2', 'one node']])
    (row,) = load_annotations(table, folders['image_dir'])
    assert row.image.endswith('case.2.png')


def test_image_as_its_own_mask_is_an_error(tmp_path, folders):
    table = write_table(tmp_path / 't.csv', [['a.tif', 'one node']])
    (problem,) = problems_of(table, folders['image_dir'], folders['image_dir'])
    assert 'image and mask are both' in problem


def test_all_problems_come_together_and_the_list_is_capped(tmp_path, folders):
    rows = [[f'no{i}.png', ''] for i in range(15)] + [['a.png', 'fine']]
    table = write_table(tmp_path / 't.xlsx', rows)
    with pytest.raises(AnnotationError) as caught:
        load_annotations(table, **folders)
    error = caught.value
    assert len(error.problems) == 45  # image, mask and expression of each
    assert sum('t.xlsx row 16' in problem for problem in error.problems) == 3
    assert str(error).splitlines()[-1] == '  ... and 25 more'
    assert len(str(error).splitlines()) == 22
    again = pickle.loads(pickle.dumps(error))  # how a worker hands it on
    assert again.problems == error.problems
    assert str(again) == str(error)


@pytest.mark.parametrize(
    ('name', 'content', 'expected'),
    [
        ('t.xls', b'x', '.xls is not one of'),
        ('t.xlsx', b'no zip', 'not a readable xlsx'),
        ('t.csv', b'', 'the file is empty'),
        ('t.csv', b'Image,Description\n', 'no rows'),
        ('t.csv', b'Image,Description\na.png,one, and two\n', 't.csv row 2: 3 cells under a header of 2'),
        ('t.csv', b'Image,Description\na.png,fine\na.png,"open\n', 't.csv row 3'),
        ('t.csv', b'Image,Description\na.png,l\xe4sion\n', 't.csv row 2: not UTF-8'),
        ('t.json', b'{"a": 1}', 'expected a list of objects, found dict'),
        ('t.json', b'[]', 'no rows'),
        ('t.json', b'[3]', 't.json row 1: expected an object'),
        ('t.jsonl', b'{"image": "a.png", "text": "node"}\n\n{"image"\n', 't.jsonl row 3: not valid JSON'),
    ],
)
def test_broken_files(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    problems = problems_of(str(tmp_path / name))
    assert len(problems) == 1
    assert expected in problems[0]


def test_missing_files_and_folders(tmp_path):
    table = write_table(tmp_path / 't.csv', [['a.png', 'one node']])
    with pytest.raises(FileNotFoundError, match=r'nowhere\.csv.*set ann_file'):
        load_annotations(str(tmp_path / 'nowhere.csv'))
    with pytest.raises(FileNotFoundError, match=r"image folder .*nowhere.*data_prefix\['img_path'\]"):
        load_annotations(table, str(tmp_path / 'nowhere'))


def test_worksheet_must_be_chosen_among_several(tmp_path):
    book = openpyxl.Workbook()
    for title in ('old', 'new'):
        page = book.create_sheet(title)
        page.append(['Image', 'Description'])
        page.append(['a.png', f'{title} text'])
    book.save(tmp_path / 't.xlsx')
    path = str(tmp_path / 't.xlsx')
    assert 'old, new all have content' in problems_of(path)[0]
    assert 'only Sheet, old, new' in problems_of(path, sheet='newer')[0]
    assert read_expressions(path, sheet='new') == ['new text']


MEDVLSM = [
    dict(
        img_name='a.png', mask_name='b.png', cls='benign', prompts={'p0': '', 'p1': 'Tumor.', 'p6': ['Small.', 'Tiny.']}
    )
]


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, ('Small.', 'Tiny.')),
        (dict(prompt='p1'), ('Tumor.',)),
        (dict(prompt='p0', allow_empty_text=True), ('',)),
    ],
)
def test_medvlsm_prompts(tmp_path, folders, options, expected):
    path = tmp_path / 'train.json'
    path.write_text(json.dumps(MEDVLSM))
    (row,) = load_annotations(str(path), **folders, **options)
    assert row.expressions == expected
    assert row.mask.endswith('b.png')
    assert row.attributes == {'cls': 'benign'}
    assert read_expressions(str(path), **options) == list(expected)


def test_empty_prompt_needs_the_option(tmp_path):
    (tmp_path / 'train.json').write_text(json.dumps(MEDVLSM))
    (problem,) = problems_of(str(tmp_path / 'train.json'), prompt='p0')
    assert 'allow_empty_text=True' in problem
    number = write_table(tmp_path / 't.json', [['a.png', 5]])
    assert 'not text' in problems_of(number, allow_empty_text=True)[0]


def test_read_expressions_needs_no_images_and_keeps_order_and_repeats(tmp_path):
    table = write_table(tmp_path / 't.csv', [['1', 'b'], ['2', 'a'], ['3', 'b']], ['nr', 'Text'])
    assert read_expressions(table, image_column='nr', mask_column=None) == ['b', 'a', 'b']
    with pytest.raises(AnnotationError, match='text_column'):
        read_expressions(table, text_column='words')


@pytest.mark.parametrize('name', ['t.csv', 't.jsonl'])
def test_problems_can_be_collected_beside_the_good_rows(tmp_path, folders, name):
    table = write_table(tmp_path / name, [['a', 'one'], ['nowhere', 'two'], ['b', ''], ['b', 'three']])
    problems = []
    rows = list(iter_annotations(table, **folders, problems=problems))
    assert [row.expressions for row in rows] == [('one',), ('three',)]
    assert len(problems) == 3
    assert 'no image' in problems[0]
    assert 'no mask' in problems[1]
    assert "'Description' is empty" in problems[2]
    with pytest.raises(AnnotationError) as caught:
        load_annotations(table, **folders)
    assert list(caught.value.problems) == problems


def test_a_column_that_is_not_there_stops_also_where_problems_are_collected(tmp_path, folders):
    table = write_table(tmp_path / 't.csv', [['a', 'one']])
    problems = []
    with pytest.raises(AnnotationError, match='words'):
        list(iter_annotations(table, **folders, text_column='words', problems=problems))
    assert problems == []


def test_one_listing_a_folder(tmp_path, folders, monkeypatch):
    calls = []
    listing = file_names.fileio.list_dir_or_file
    monkeypatch.setattr(
        file_names.fileio, 'list_dir_or_file', lambda folder, **kw: calls.append(folder) or listing(folder, **kw)
    )
    rows = [['ab'[i % 2], f'node {i}'] for i in range(50)]
    load_annotations(write_table(tmp_path / 't.csv', rows), **folders)
    assert sorted(calls) == sorted(folders.values())
