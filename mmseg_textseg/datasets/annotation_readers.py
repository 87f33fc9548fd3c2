"""Annotation files (xlsx, csv, tsv, json, jsonl) -> a table of records, whatever the columns are called.

What the columns mean (image, mask, expression) is decided in ``annotations.py``.
"""

import csv
import io
import json
import os.path as osp
import re
from collections.abc import Iterable, Sequence
from zipfile import BadZipFile

from mmengine import fileio

from .annotation_table import AnnotationError, Record, Table
from .coco_captions import is_coco, read_coco
from .json_lines import not_utf8, read_jsonl

__all__ = ['AnnotationError', 'Record', 'Table', 'read_table']


def read_table(path: str, *, sheet: str | None = None, backend_args: dict | None = None) -> Table:
    """Read an annotation file by its extension.

    Rows are counted as an editor or a spreadsheet shows them: from 1, header included (objects of a json list:
    from 1). Wholly empty rows of xlsx, csv and jsonl are no rows.

    Args:
        path: ``.xlsx``, ``.csv``/``.tsv`` (comma, semicolon or tab; UTF-8 with or without BOM), ``.json``
            (a list of objects, or COCO captions: :func:`read_coco`) or ``.jsonl`` (an object a line).
        sheet: worksheet of an xlsx that has several with content.
        backend_args: of mmengine's file backend.

    Raises:
        FileNotFoundError: if the file is missing.
        AnnotationError: if the file is of another kind, broken or without rows.
    """
    if not fileio.isfile(path, backend_args=backend_args):
        raise FileNotFoundError(
            f'annotation file {path!r} does not exist; set ann_file to a path, absolute or relative to data_root'
        )
    extension = osp.splitext(path)[1].lower()
    if extension not in ('.xlsx', '.csv', '.tsv', '.json', '.jsonl'):
        known = '.xlsx, .csv, .tsv, .json, .jsonl'
        raise AnnotationError(path, [f'{extension or "no extension"} is not one of {known}: save the table as one'])
    if extension == '.jsonl':
        table = read_jsonl(path, backend_args)
    else:
        content = fileio.get(path, backend_args=backend_args)
        if extension == '.xlsx':
            table = _read_xlsx(path, content, sheet)
        else:
            table = (_read_json if extension == '.json' else _read_csv)(path, _decode(path, content))
    if not table.records and not table.problems:
        raise AnnotationError(path, ['no rows below the header: each row names an image and an expression'])
    return table


def _decode(path: str, content: bytes) -> str:
    try:
        return content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise not_utf8(path, content[: error.start].count(b'\n') + 1, error) from error


def _read_xlsx(path: str, content: bytes, sheet: str | None) -> Table:
    try:
        import openpyxl
    except ImportError as error:
        raise ImportError(f'{path}: reading xlsx needs openpyxl: pip install openpyxl (or save as csv)') from error
    try:
        # Not read_only: that trusts the size written in the file, which some writers leave wrong.
        book = openpyxl.load_workbook(io.BytesIO(content), data_only=True)
    except (BadZipFile, KeyError, ValueError) as error:
        raise AnnotationError(path, [f'not a readable xlsx workbook ({error}): save it again as xlsx']) from error
    sheets = {page.title: list(page.values) for page in book.worksheets}
    filled = [title for title, rows in sheets.items() if any(_filled(row) for row in rows)]
    if sheet is not None and sheet not in sheets:
        raise AnnotationError(path, [f'no worksheet {sheet!r}, only {", ".join(sheets)}: set sheet to one of them'])
    if sheet is None and len(filled) > 1:
        raise AnnotationError(path, [f'worksheets {", ".join(filled)} all have content: set sheet to one of them'])
    return _from_grid(path, sheets[sheet or (filled or list(sheets))[0]])


def _read_csv(path: str, text: str) -> Table:
    first = re.split(r'[\r\n]', text.lstrip('\r\n'), maxsplit=1)[0]
    # The header decides: csv.Sniffer is misled by the commas of sentences.
    delimiter = max(',;\t', key=first.count)
    reader = csv.reader(io.StringIO(text, newline=''), delimiter=delimiter, strict=True)
    grid: list[Sequence] = []
    line = 1
    while True:
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise AnnotationError(
                path, [f'{osp.basename(path)} row {line}: {error}: mend the quotes (a quote inside a cell is doubled)']
            ) from error
        # A quoted cell may run over several lines: keep the count of the editor by padding.
        grid.extend([()] * (line - 1 - len(grid)))
        grid.append(row)
        line = reader.line_num + 1
    return _from_grid(path, grid)


def _from_grid(path: str, grid: Sequence[Sequence]) -> Table:
    """Rows of cells, of which the first filled one is the header -> table."""
    name = osp.basename(path)
    numbered = [(number, row) for number, row in enumerate(grid, start=1) if _filled(row)]
    if not numbered:
        raise AnnotationError(path, ['the file is empty: expected a header row that names the columns'])
    (_, header), *body = numbered
    # An unnamed column is the index that pandas writes; it is kept as an attribute like any other.
    columns = [str(cell).strip() if _filled([cell]) else f'column_{i}' for i, cell in enumerate(header, start=1)]
    doubled = sorted({column for column in columns if columns.count(column) > 1})
    if doubled:
        raise AnnotationError(path, [f'column {column!r} stands twice in the header: rename one' for column in doubled])
    table = Table(path, columns, [])
    for number, row in body:
        source = f'{name} row {number}'
        if _filled(row[len(columns) :]):
            table.problems.append(
                f'{source}: {len(row)} cells under a header of {len(columns)}: quote a cell that holds the delimiter'
            )
            continue
        cells = list(row[: len(columns)]) + [None] * (len(columns) - len(row))
        table.records.append(Record(dict(zip(columns, cells, strict=True)), source))
    return table


def _filled(cells: Iterable) -> bool:
    return any(cell is not None and str(cell).strip() for cell in cells)


def _read_json(path: str, text: str) -> Table:
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise AnnotationError(path, [f'not valid JSON: {error}']) from error
    if is_coco(rows):
        return read_coco(path, rows)
    if not isinstance(rows, list):
        raise AnnotationError(
            path,
            [
                f'expected a list of objects, found {type(rows).__name__}: save the rows as a list (or, for COCO '
                "captions, an object with 'images' and 'annotations')"
            ],
        )
    return _from_objects(path, rows)


def _from_objects(path: str, rows: list) -> Table:
    table = Table(path, [], [])
    columns: dict[str, None] = {}
    for number, row in enumerate(rows, start=1):
        source = f'{osp.basename(path)} row {number}'
        if not isinstance(row, dict):
            table.problems.append(f'{source}: expected an object with named values, found {type(row).__name__}')
            continue
        columns.update(dict.fromkeys(row))
        table.records.append(Record(row, source))
    table.columns = list(columns)
    return table
