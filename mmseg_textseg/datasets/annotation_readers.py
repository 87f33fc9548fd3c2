"""Annotation files (xlsx, csv, tsv, json, jsonl) -> a table of records, whatever the columns are called.

What the columns mean (image, mask, expression) is decided in ``annotations.py``.
"""

import csv
import io
import json
import os.path as osp
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from zipfile import ZipFile

from mmengine import fileio

from .annotation_table import AnnotationError, Record, Table
from .coco_captions import is_coco, read_coco
from .json_lines import not_utf8, read_jsonl

__all__ = ['AnnotationError', 'Record', 'Table', 'read_table']

# Bounds of a table that is held whole: beyond them a small file would take the machine's memory.
MAX_CELLS = 20_000_000
MAX_UNPACKED = 1 << 30  # bytes of an xlsx


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
    _check_unpacked(path, content)
    try:
        # read_only: else merged cells and links are unfolded cell by cell, of which a file may claim billions.
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheets = {page.title: _values(path, page) for page in book.worksheets}
        why_empty = _why_empty(content)
    except AnnotationError:
        raise
    except Exception as error:  # openpyxl, zip and XML fail in as many ways as there are files
        raise AnnotationError(path, [f'not a readable xlsx workbook ({error}): save it again as xlsx']) from error
    if not sheets:
        raise AnnotationError(path, ['the workbook has no worksheet: save the table as one, or as csv'])
    filled = [title for title, rows in sheets.items() if any(_filled(row) for row in rows)]
    if sheet is not None and sheet not in sheets:
        raise AnnotationError(path, [f'no worksheet {sheet!r}, only {", ".join(sheets)}: set sheet to one of them'])
    if sheet is None and len(filled) > 1:
        raise AnnotationError(path, [f'worksheets {", ".join(filled)} all have content: set sheet to one of them'])
    return _from_grid(path, sheets[sheet or (filled or list(sheets))[0]], why_empty)


def _why_empty(content: bytes) -> str:
    """Why cells of a workbook that show something may be read as empty."""
    with ZipFile(io.BytesIO(content)) as archive:
        pages = [archive.read(name) for name in archive.namelist() if name.startswith('xl/worksheets/')]
    reasons = []
    if any(b'<mergeCell ' in page for page in pages):
        reasons.append('of merged cells only the first counts: unmerge them, and fill every row')
    if any(b'<f>' in page or b'<f ' in page for page in pages):
        reasons.append('of a formula the stored result counts: open and save the file in a spreadsheet program')
    return '; '.join(reasons)


def _check_unpacked(path: str, content: bytes) -> None:
    """Refuse an archive that is small on the disk only; zipfile unpacks no more of a part than it claims to have."""
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
    except Exception as error:
        raise AnnotationError(path, [f'not a readable xlsx workbook ({error}): save it again as xlsx']) from error
    if unpacked > MAX_UNPACKED:
        raise AnnotationError(
            path, [f'unpacks to {unpacked:,} bytes of at most {MAX_UNPACKED:,}: split the table, or save it as csv']
        )


def _values(path: str, page: Any) -> list[tuple]:
    """Rows of a worksheet, each up to its last cell."""
    page.reset_dimensions()  # the size that is written in the file, which some writers leave wrong
    rows, cells = [], 0
    for row in page.values:
        cells += len(row) + 1
        if cells > MAX_CELLS:
            raise AnnotationError(
                path,
                [
                    f'worksheet {page.title!r} row {len(rows) + 1}: more than {MAX_CELLS:,} cells up to here, empty '
                    'ones included: delete what stands far below or beside the table, or save it as csv'
                ],
            )
        rows.append(row)
    return rows


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


def _from_grid(path: str, grid: Sequence[Sequence], why_empty: str = '') -> Table:
    """Rows of cells, of which the first filled one is the header -> table."""
    name = osp.basename(path)
    numbered = [(number, row) for number, row in enumerate(grid, start=1) if _filled(row)]
    if not numbered:
        raise AnnotationError(path, ['the file is empty: expected a header row that names the columns'])
    (_, header), *body = numbered
    # An unnamed column is the index that pandas writes; it is kept as an attribute like any other.
    columns = [str(cell).strip() if _filled([cell]) else f'column_{i}' for i, cell in enumerate(header, start=1)]
    doubled = sorted(column for column, times in Counter(columns).items() if times > 1)
    if doubled:
        raise AnnotationError(path, [f'column {column!r} stands twice in the header: rename one' for column in doubled])
    if len(columns) * len(body) > MAX_CELLS:
        raise AnnotationError(
            path,
            [
                f'{len(body):,} rows under {len(columns):,} columns are more than {MAX_CELLS:,} cells: leave columns '
                'out, or save the table as jsonl, which is read row by row'
            ],
        )
    table = Table(path, columns, [])
    for number, row in body:
        source = f'{name} row {number}'
        if _filled(row[len(columns) :]):
            table.problems.append(
                f'{source}: {len(row)} cells under a header of {len(columns)}: quote a cell that holds the delimiter'
            )
            continue
        cells = list(row[: len(columns)]) + [None] * (len(columns) - len(row))
        table.records.append(Record(dict(zip(columns, cells, strict=True)), source, why_empty))
    return table


def _filled(cells: Iterable) -> bool:
    return any(cell is not None and str(cell).strip() for cell in cells)


def _read_json(path: str, text: str) -> Table:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:  # a ValueError also for a number of thousands of digits
        raise AnnotationError(path, [f'not valid JSON: {error}: mend it, or save the rows anew']) from error
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
