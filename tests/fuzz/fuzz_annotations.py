"""Coverage-guided fuzzing of what reads other people's files: annotation tables and RefCOCO's pickles.

Not a part of the suite, and needs atheris (pip install atheris), which nothing else does. From the repository:

    python tests/fuzz/fuzz_annotations.py xlsx FOLDER -max_total_time=120 -timeout=20 -rss_limit_mb=2000

The first argument is one of jsonl, json, csv, xlsx, pickle; FOLDER keeps the inputs that reached new code, and starts
with a few good files; the rest is libFuzzer's. Any error but the documented ones ends the run, and the input is left
in a file ``crash-...``, which the same command with that file in the place of FOLDER runs again.
"""

import inspect
import io
import os
import pickle
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType

import atheris
import openpyxl
from openpyxl.reader import excel, strings, workbook
from openpyxl.worksheet import _read_only, _reader

from mmseg_textseg.datasets import annotation_readers, annotation_table, annotations, coco_captions, json_lines
from mmseg_textseg.datasets.annotations import AnnotationError, load_annotations, read_expressions
from mmseg_textseg.datasets.converters import ConversionError, safe_pickle
from mmseg_textseg.datasets.packed_list import PackedList

# What is watched for new code; the rest of the package would take minutes to prepare.
READERS = (annotation_readers, annotation_table, annotations, coco_captions, json_lines, safe_pickle)
WATCHED = (*READERS, excel, strings, workbook, _read_only, _reader, pickle)

TEXTS = {
    'jsonl': [
        '{"image": "a.png", "mask": "m.png", "expression": "left"}\n',
        '{"img":"a","text":["x","y"],"n":1.5e3}\n\n',
    ],
    'json': [
        '[{"image": "a.png", "expression": {"p0": "", "p6": "left one"}}]',
        '{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"id": 1, "image_id": 1, "caption": "a"}]}',
    ],
    'csv': [
        'image,mask,text\na.png,m.png,"left, ""b"""\n\n',
        '\ufeffimage;text\r\na;b\r\n',
        'a\timage\ttext\n"x\ny"\ta\tb',
    ],
    'pickle': [],
}


def small_workbook() -> bytes:
    """A small xlsx of two sheets, one of them empty, with a number, a date's format and a formula."""
    book = openpyxl.Workbook()
    for row in (['image', 'text', 'mm'], ['a.png', 'left', 1.5], ['b.png', '=A1', None]):
        book.active.append(row)
    book.active['C2'].number_format = 'yyyy-mm-dd'
    book.create_sheet('notes')
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


BOOK = small_workbook()
ARCHIVE = zipfile.ZipFile(io.BytesIO(BOOK))
NAMES = sorted(ARCHIVE.namelist())
SHEET = 'xl/worksheets/sheet1.xml'


def packed(data: bytes) -> bytes:
    """A workbook with one edit: which part (the last: the archive itself), where, how many bytes go, what comes."""
    number, start, gone, come = data[0] % (len(NAMES) + 1), int.from_bytes(data[1:3], 'big'), data[3], data[4:]
    if number == len(NAMES):
        return _edited(BOOK, start, gone, come)
    content = io.BytesIO()
    with zipfile.ZipFile(content, 'w') as archive:
        for other, name in enumerate(NAMES):
            part = ARCHIVE.read(name)
            archive.writestr(name, _edited(part, start, gone, come) if other == number else part)
    return content.getvalue()


def _edited(part: bytes, start: int, gone: int, come: bytes) -> bytes:
    start %= len(part)
    return part[:start] + come + part[start + gone :]


def seeds(kind: str) -> list[bytes]:
    """Good inputs to begin with."""
    if kind == 'xlsx':
        cells = (b'<c r="D9" t="s"><v>9</v></c>', b'<row r="7">', b't="d"', b's="1"', b'"2"')
        sheet = ARCHIVE.read(SHEET)
        places = [sheet.index(b'</row>'), sheet.index(b'<row'), sheet.index(b't="'), sheet.index(b's="'), len(sheet)]
        edits = zip(places, cells, strict=True)
        seeds = [bytes([NAMES.index(SHEET)]) + place.to_bytes(2, 'big') + b'\0' + cell for place, cell in edits]
        return seeds + [bytes([i, 1, 0, 9]) + b'"1" ' for i in range(len(NAMES) + 1)]
    if kind == 'pickle':
        value = [dict(a=1, b=[-(10**20), 0.5, None, True, b'c', ('d', 'é')], c='x' * 300)]
        return [pickle.dumps([value, value], protocol) for protocol in range(6)]
    return [text.encode() for text in TEXTS[kind]]


def watch(module: ModuleType) -> None:
    """Count the code of a module as covered when it runs."""
    classes = [value for value in vars(module).values() if inspect.isclass(value)]
    for place in (module, *classes):
        for value in list(vars(place).values()):
            if inspect.isfunction(value) and value.__module__ == module.__name__:
                atheris.instrument_func(value)


def main() -> None:
    """Fuzz one kind of file until libFuzzer's limits are reached."""
    kind, *options = sys.argv[1:]
    for module in WATCHED:
        watch(module)
    folder = Path(options[0])
    if folder.is_dir() or not folder.exists():
        folder.mkdir(exist_ok=True)
        for number, seed in enumerate(seeds(kind)):
            (folder / f'seed-{number}').write_bytes(seed)
    here = tempfile.TemporaryDirectory()
    path = os.path.join(here.name, f'table.{kind}')
    os.mkdir(os.path.join(here.name, 'images'))

    def read(data: bytes) -> None:
        with open(path, 'wb') as file:
            file.write(packed(data.ljust(4, b'\0')) if kind == 'xlsx' else data)
        if kind == 'pickle':
            try:
                safe_pickle.load_plain_pickle(path)
            except ConversionError as error:
                str(error)
            return
        for reading in (
            lambda: PackedList(load_annotations(path)),
            lambda: load_annotations(path, os.path.join(here.name, 'images'), allow_empty_text=True),
            lambda: read_expressions(path),
        ):
            try:
                reading()
            except AnnotationError as error:
                str(error)

    atheris.Setup([sys.argv[0], *options], read)
    atheris.Fuzz()


if __name__ == '__main__':
    main()
