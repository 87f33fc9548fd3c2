"""Annotation tables: their files and columns."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
from bad_input import Case, Place

from mmseg_textseg.datasets import AnnotationError, load_annotations

HEAD = 'image,expression\n'
GOOD = HEAD + 'a.png,the lesion\n'


def folders(place: Place) -> None:
    for name in ('img/a.png', 'img/b.png', 'mask/a.png', 'mask/b.png'):
        (place.folder / name).parent.mkdir(exist_ok=True)
        (place.folder / name).touch()


def load(path: str) -> list:
    folder = Path(path).parent
    return load_annotations(path, str(folder / 'img'), str(folder / 'mask'))


def works(*expressions: str) -> Callable[[str], None]:
    def run(path: str) -> None:
        assert tuple(row.expressions[0] for row in load(path)) == expressions

    return run


def table(name: str, content: str | bytes, more: Callable[[Path], None] = lambda folder: None) -> Callable:
    def make(place: Place) -> str:
        folders(place)
        more(place.folder)
        path = place.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return make


def bad(wrong: str, name: str, content: str | bytes, *said: str, more=lambda folder: None, run=load) -> Case:
    return Case(wrong, table(name, content, more), run, AnnotationError, said)


def odd(wrong: str, name: str, content: str | bytes, becomes: str, *texts: str, more=lambda folder: None) -> Case:
    return Case(wrong, table(name, content, more), works(*texts), works=becomes)


def xlsx(*rows: list, merge: str = '', sheets: int = 1) -> bytes:
    book, content = openpyxl.Workbook(), io.BytesIO()
    for page in [book.active, *(book.create_sheet() for _ in range(sheets - 1))]:
        for row in [['image', 'expression'], *rows]:
            page.append(row)
        if merge:
            page.merge_cells(merge)
    book.save(content)
    return content.getvalue()


def damaged_sheet() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(xlsx(['a.png', 'the lesion']))) as old, zipfile.ZipFile(content, 'w') as new:
        for name in old.namelist():
            part = old.read(name)
            new.writestr(name, part[: len(part) // 2] if 'sheet1' in name else part)
    return content.getvalue()


def objects(*rows: object) -> str:
    return json.dumps([dict(image='a.png', expression=row) if isinstance(row, str) else row for row in rows])


def gone(place: Place) -> str:
    return str(place.folder / 'gone.csv')


def a_folder(place: Place) -> str:
    (place.folder / 'rows.csv').mkdir()
    return str(place.folder / 'rows.csv')


XLSX = xlsx(['a.png', 'the lesion'])
CASES = [
    Case('no such table', gone, load, FileNotFoundError, ("gone.csv' does not exist", 'set ann_file to a path')),
    Case('a folder instead of a table', a_folder, load, FileNotFoundError, ('rows.csv', 'set ann_file to a path')),
    bad('an old .xls', 't.xls', b'x', 't.xls', '.xls is not one of .xlsx, .csv', 'save the table as one'),
    bad('an empty file', 't.csv', '', 't.csv', 'the file is empty', 'expected a header row'),
    bad('a header alone', 't.csv', HEAD, 't.csv', 'no rows below the header', 'each row names an image'),
    bad(
        'another separator than comma, semicolon, tab',
        't.csv',
        GOOD.replace(',', '|'),
        'no image_column found by its name',
        'the only column is image|expression',
        'comma, semicolon or tab part columns',
    ),
    odd('separated by semicolons or tabs', 't.csv', GOOD.replace(',', ';'), 'Read as it is.', 'the lesion'),
    odd(
        'a BOM and Windows line ends',
        't.csv',
        b'\xef\xbb\xbf' + GOOD.replace('\n', '\r\n').encode(),
        'Read as it is.',
        'the lesion',
    ),
    bad(
        'Latin-1 instead of UTF-8',
        't.csv',
        (HEAD + 'a,Läsion').encode('latin1'),
        't.csv row 2',
        'save the file in UTF-8',
    ),
    bad('UTF-16 instead of UTF-8', 't.csv', GOOD.encode('utf-16'), 't.csv row 1: not UTF-8', 'save the file in UTF-8'),
    bad('a column is missing', 't.csv', 'image\na.png\n', 'no text_column found by its name', 'set text_column to one'),
    bad('two columns of one name', 't.csv', 'image,image,text\na,b,c\n', "'image' stands twice", 'rename one'),
    bad(
        'two columns that may hold the sentences',
        't.csv',
        'image,text,caption\na,b,c\n',
        "'text' or 'caption'",
        'set text_column',
    ),
    bad('a quote that is not closed', 't.csv', GOOD + 'a.png,"the lesion\n', 't.csv row 3', 'mend the quotes'),
    bad(
        'a cell of 200,000 characters',
        't.csv',
        HEAD + 'a.png,' + 'x' * 200_000,
        't.csv row 2: field larger than',
        'mend the quotes',
    ),
    bad(
        'xlsx cut off',
        't.xlsx',
        XLSX[: len(XLSX) // 2],
        't.xlsx',
        'not a readable xlsx workbook',
        'save it again as xlsx',
    ),
    bad('xlsx of 0 bytes', 't.xlsx', b'', 't.xlsx', 'not a readable xlsx workbook', 'save it again as xlsx'),
    bad(
        'xlsx with a damaged sheet',
        't.xlsx',
        damaged_sheet(),
        't.xlsx',
        'not a readable xlsx workbook',
        'save it again as xlsx',
    ),
    bad(
        'xlsx with two filled worksheets',
        't.xlsx',
        xlsx(['a', 'b'], sheets=2),
        'Sheet, Sheet1 all have content',
        'set sheet to one',
    ),
    bad(
        'json cut off',
        't.json',
        objects('x')[:20],
        't.json',
        'not valid JSON',
        'line 1',
        'mend it, or save the rows anew',
    ),
    bad(
        'json that is no list',
        't.json',
        '{"a": 1}',
        'expected a list of objects, found dict',
        'save the rows as a list',
    ),
    bad('json nested 100,000 deep', 't.json', '[' * 100_000, 't.json', 'not valid JSON', 'save the rows anew'),
    bad(
        'jsonl with a broken line',
        't.jsonl',
        '{"image": "a", "text": "x"}\n{"image": \n',
        't.jsonl row 2: not valid JSON',
        'expected an object a line',
    ),
]
