"""jsonl: an object a line, read as a stream, since such tables grow to millions of rows."""

import io
import json
import os.path as osp
from collections.abc import Iterator
from typing import IO, Any

from mmengine import fileio
from mmengine.fileio.backends import LocalBackend

from .annotation_table import AnnotationError, Record, Table


class JsonLines:
    """The records of a jsonl file, parsed anew at each iteration: none of them is held.

    Args:
        path: the file, UTF-8 with or without BOM.
        backend_args: of mmengine's file backend; what is not a local file is held as bytes.

    Attributes:
        columns: union of the keys of all rows, in order.
        problems: the lines that are no JSON object.
    """

    def __init__(self, path: str, backend_args: dict | None = None) -> None:
        self.path = path
        local = isinstance(fileio.get_file_backend(path, backend_args=backend_args), LocalBackend)
        self._content = None if local else fileio.get(path, backend_args=backend_args)
        self.problems: list[str] = []
        columns: dict[str, None] = {}
        self._count = 0
        for number, row in self._rows():
            if isinstance(row, dict):
                columns.update(dict.fromkeys(row))
                self._count += 1
            else:
                self.problems.append(f'{osp.basename(path)} row {number}: {row}')
        self.columns = list(columns)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Record]:
        name = osp.basename(self.path)
        for number, row in self._rows():
            if isinstance(row, dict):
                yield Record(row, f'{name} row {number}')

    def _open(self) -> IO[bytes]:
        return open(self.path, 'rb') if self._content is None else io.BytesIO(self._content)

    def _rows(self) -> Iterator[tuple[int, Any]]:
        """(line, its object, or a string that says what is wrong with it); empty lines are no rows."""
        with self._open() as file:
            # Bytes, because lines end at \n alone: U+2028 and its like may stand inside a JSON string.
            for number, line in enumerate(file, start=1):
                line = line.removeprefix(b'\xef\xbb\xbf') if number == 1 else line
                if not line.strip():
                    continue
                try:
                    row = json.loads(line.decode().rstrip('\r\n'))
                except UnicodeDecodeError as error:
                    raise not_utf8(self.path, number, error) from error
                except (ValueError, RecursionError) as error:  # a ValueError also for thousands of digits
                    at = f'{error.msg} at column {error.colno}' if isinstance(error, json.JSONDecodeError) else error
                    yield number, f'not valid JSON ({at}): expected an object a line'
                    continue
                if isinstance(row, dict):
                    yield number, row
                else:
                    yield number, f'expected an object with named values, found {type(row).__name__}'


def not_utf8(path: str, line: int, error: UnicodeDecodeError) -> AnnotationError:
    """The error for a file in another encoding."""
    return AnnotationError(
        path, [f'{osp.basename(path)} row {line}: not UTF-8 ({error.reason}): save the file in UTF-8']
    )


def read_jsonl(path: str, backend_args: dict | None = None) -> Table:
    """The file as a table, whose records are read from it at each iteration."""
    records = JsonLines(path, backend_args)
    return Table(path, records.columns, records, list(records.problems))
