"""What an annotation table is: its records, its columns, and the error that lists everything wrong with it.

Files are read in ``annotation_readers.py``; what a row means is decided in ``annotations.py``.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

SHOWN_PROBLEMS = 20
# Compared without case, spaces, '_' and '-'. 'label' is no mask name: many tables keep the class there.
COLUMN_NAMES = {
    'image_column': (
        *('image', 'img', 'imagename', 'imgname', 'imagefile', 'imgfile', 'imagepath', 'imgpath'),
        *('imagefilename', 'filename', 'file'),
    ),
    'mask_column': (
        *('mask', 'maskname', 'maskfile', 'maskpath', 'maskfilename', 'segmap', 'segmappath', 'segmentation'),
        *('gt', 'groundtruth'),
    ),
    'text_column': (
        *('expression', 'expressions', 'description', 'descriptions', 'text', 'texts', 'sentence', 'sentences'),
        *('caption', 'captions', 'prompt', 'prompts', 'phrase'),
    ),
}


class AnnotationError(ValueError):
    """Everything that is wrong with an annotation table, in one error.

    Args:
        heading: what was read, e.g. ``'data/train.xlsx'``.
        problems: one line each: file and row, what was expected, the mend. The message shows the first
            20 of them; ``.problems`` keeps all.
    """

    def __init__(self, heading: str, problems: Sequence[str]) -> None:
        super().__init__(heading, tuple(problems))  # both in args, so that the error survives pickling by a worker
        self.heading = heading
        self.problems = tuple(problems)

    def __str__(self) -> str:
        count = len(self.problems)
        lines = [f'{self.heading}: {count} problem{"" if count == 1 else "s"} in the annotations']
        lines += [f'  {problem}' for problem in self.problems[:SHOWN_PROBLEMS]]
        if count > SHOWN_PROBLEMS:
            lines.append(f'  ... and {count - SHOWN_PROBLEMS} more')
        return '\n'.join(lines)


@dataclass(frozen=True)
class Record:
    """One row as the file has it.

    Attributes:
        values: by column.
        source: where it stands, as ``'train.xlsx row 12'``.
        why_empty: a reason for cells that look filled in another program and are empty here; '' if there is none.
    """

    values: dict[str, Any]
    source: str
    why_empty: str = ''


@dataclass
class Table:
    """All records of a file. ``columns`` is the header, or for json the union of all keys in order.

    ``records`` of a jsonl are read from the file at each iteration (:class:`JsonLines`).

    ``problems`` are rows that could not be read at all; they are reported together with what the
    caller finds wrong in the others.
    """

    path: str
    columns: list[str]
    records: Collection[Record]
    problems: list[str] = field(default_factory=list)


def _plain(name: str) -> str:
    return ''.join(character for character in name.lower() if character not in ' _-')


def find_column(table: Table, option: str, given: str | None, problems: list[str], required: bool = True) -> str | None:
    """Name of the column that holds images, masks or texts.

    Args:
        table: the table.
        option: ``'image_column'``, ``'mask_column'`` or ``'text_column'``.
        given: the user's choice; ``None`` looks for a common name.
        problems: gets a line if there is no such column, or several.
        required: whether it is a problem that no column has a common name.

    Returns:
        The column as the table writes it, ``None`` if there is no single one.
    """
    if not table.columns:  # nothing could be read, which is a problem already
        return None
    found = f'the columns are {", ".join(table.columns)}'
    if len(table.columns) == 1 and table.path.lower().endswith(('.csv', '.tsv')):
        found = f'the only column is {table.columns[0]}, where comma, semicolon or tab part columns'
    if given is not None:
        matches = [c for c in table.columns if c == given] or [c for c in table.columns if _plain(c) == _plain(given)]
        if len(matches) != 1:
            problems.append(f'{option}={given!r} names {len(matches) or "no"} columns; {found}: set {option} to one')
        return matches[0] if len(matches) == 1 else None
    matches = [c for c in table.columns if _plain(c) in COLUMN_NAMES[option]]
    if len(matches) > 1:
        problems.append(f'{option} may be {" or ".join(map(repr, matches))}: set {option} to one of them')
    elif not matches and required:
        problems.append(f'no {option} found by its name; {found}: set {option} to one')
    return matches[0] if len(matches) == 1 else None
