"""Annotation tables -> rows of (image, mask, expressions), checked against the folders.

A table is somebody's hand work: every row that cannot be used is reported, all of them at once, and none is
dropped in silence.
"""

import os.path as osp
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .annotation_readers import read_table
from .annotation_table import AnnotationError, Record, find_column
from .file_names import PICTURE_EXTENSIONS, Folder, split_name

__all__ = ['AnnotationError', 'AnnotationRow', 'iter_annotations', 'load_annotations', 'read_expressions']

SPREADSHEET_ERRORS = {'#N/A', '#REF!', '#VALUE!', '#NAME?', '#NULL!', '#DIV/0!', '#NUM!'}


@dataclass(frozen=True)
class AnnotationRow:
    """One usable row of an annotation table.

    Attributes:
        image: path of the image (its name as written, when no folder was given).
        mask: path of the mask, ``None`` without masks.
        expressions: one expression, or several alternatives that mean the same mask.
        attributes: all other columns of the row.
        source: where it stands, e.g. ``'train.xlsx row 12'``.
        in_levels: whether the expressions were one of several levels of a cell (MedVLSM's ``prompts``).
    """

    image: str
    mask: str | None
    expressions: tuple[str, ...]
    attributes: dict
    source: str
    in_levels: bool = False

    @property
    def slice(self) -> str | None:
        """Of a volume, what the column ``slice`` says; ``None`` for a picture."""
        number = self.attributes.get('slice')
        return None if number is None or split_name(self.image)[2].lower() in PICTURE_EXTENSIONS else str(number)


def iter_annotations(
    ann_file: str,
    image_dir: str | None = None,
    mask_dir: str | None = None,
    *,
    image_column: str | None = None,
    mask_column: str | None = None,
    text_column: str | None = None,
    prompt: str = 'p6',
    sheet: str | None = None,
    allow_empty_text: bool = False,
    required_columns: Sequence[str] = (),
    image_name: Callable[[str], str] | None = None,
    mask_name: Callable[[str], str] | None = None,
    backend_args: dict | None = None,
    problems: list[str] | None = None,
) -> Iterator[AnnotationRow]:
    """Read a table row by row and find its images and masks.

    A name matches a file exactly, else by stem: LViT's tables say ``.png`` where the image is a ``.tif``. Where
    names differ by more, ``image_name`` and ``mask_name`` are the dataset's rule.

    Args:
        ann_file: xlsx, csv, tsv, json or jsonl; see :func:`read_table`. Of a jsonl no more than a row is held.
        image_dir: folder of the images; ``None`` leaves names as written and unchecked.
        mask_dir: folder of the masks; ``None`` gives rows without masks if ``image_dir`` is set.
        image_column: column of image names; by default found by its name (Image, img_name, ...).
        mask_column: column of mask names; by default found by its name, and without any such column the
            mask is named like the image.
        text_column: column of expressions; by default found by its name (Description, expression, ...).
        prompt: which value to take where the cell is an object (MedVLSM's ``prompts``: p0 ... p6).
        sheet: worksheet of an xlsx that has several with content.
        allow_empty_text: let empty expressions pass as ``''`` (text-free baselines).
        required_columns: further columns that every row must have; their values may be null.
        image_name: what an image cell says -> name of the image file; by default the same.
        mask_name: name of the image file -> name of its mask, for tables without a mask column; by default the
            same.
        backend_args: of mmengine's file backend.
        problems: gets what is wrong with single rows, which are then passed over. Without it they raise an error,
            all together, after the last good row.

    Yields:
        The good rows in the order of the table.

    Raises:
        FileNotFoundError: if the table or a folder is missing.
        AnnotationError: if the table as a whole cannot be used; without ``problems`` also with every problem of every
            row.
    """
    table = read_table(ann_file, sheet=sheet, backend_args=backend_args)
    found = list(table.problems) if problems is None else problems
    if problems is not None:
        found.extend(table.problems)
    columns: list[str] = []
    image_column = find_column(table, 'image_column', image_column, columns)
    # Two columns that could name masks are no problem where nobody asks for masks.
    wanted = mask_dir is not None or image_dir is None or mask_column is not None
    mask_column = find_column(table, 'mask_column', mask_column, columns if wanted else [], required=False)
    text_column = find_column(table, 'text_column', text_column, columns)
    for column in required_columns:
        if column not in table.columns:
            columns.append(f'no column {column!r} among {", ".join(table.columns)}: this dataset needs it')
    if image_column is None or text_column is None or columns:
        raise AnnotationError(ann_file, [*table.problems, *columns])

    images = None if image_dir is None else Folder(image_dir, 'image', 'img_path', backend_args)
    masks = None if mask_dir is None else Folder(mask_dir, 'mask', 'seg_map_path', backend_args)
    used = {image_column, mask_column, text_column}
    for record in table.records:
        before = len(found)
        found += [
            f'{record.source}: no key {column!r}; null means unknown'
            for column in required_columns
            if column not in record.values
        ]
        image = _file_cell(record, image_column, images, found, [image_name])
        if mask_column is None:
            named = masks is not None and not _fault(record.values.get(image_column))
            mask = _file_cell(record, image_column, masks, found, [image_name, mask_name]) if named else None
        elif masks is not None or images is None:
            mask = _file_cell(record, mask_column, masks, found)
        else:
            mask = None
        expressions = _expression_cell(record, text_column, prompt, allow_empty_text, found)
        if images and masks and image and mask and osp.abspath(image) == osp.abspath(mask):
            found.append(f'{record.source}: image and mask are both {image}: set mask_column or the mask folder')
        if len(found) == before:
            attributes = {key: value for key, value in record.values.items() if key not in used}
            in_levels = isinstance(record.values.get(text_column), dict)
            yield AnnotationRow(image, mask, expressions, attributes, record.source, in_levels)
    if found and problems is None:
        raise AnnotationError(ann_file, found)


def load_annotations(
    ann_file: str, image_dir: str | None = None, mask_dir: str | None = None, **options: Any
) -> list[AnnotationRow]:
    """All rows of a table; the options and errors are those of :func:`iter_annotations`."""
    return list(iter_annotations(ann_file, image_dir, mask_dir, **options))


def read_expressions(
    ann_file: str,
    *,
    text_column: str | None = None,
    prompt: str = 'p6',
    sheet: str | None = None,
    allow_empty_text: bool = False,
    backend_args: dict | None = None,
    **_: Any,
) -> list[str]:
    """All sentences of a table, in order and with repeats, e.g. to build a vocabulary; needs no images.

    Takes the options of :func:`load_annotations`; those about images and masks change nothing.

    Raises:
        FileNotFoundError: if the table is missing.
        AnnotationError: with every row that has no expression.
    """
    table = read_table(ann_file, sheet=sheet, backend_args=backend_args)
    problems = list(table.problems)
    column = find_column(table, 'text_column', text_column, problems)
    sentences = []
    for record in table.records if column is not None else ():
        sentences.extend(_expression_cell(record, column, prompt, allow_empty_text, problems))
    if problems:
        raise AnnotationError(ann_file, problems)
    return sentences


def _fault(value: Any) -> str | None:
    """Why a cell is no text."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return 'is empty'
    if not isinstance(value, str):
        return f'is {_shown(value)} ({type(value).__name__}), not text (quote it, or format the cell as text)'
    if value.strip() in SPREADSHEET_ERRORS:
        return f'is the spreadsheet error {value.strip()}'
    try:
        value.encode()
    except UnicodeEncodeError:  # json's \ud800, which no file can be written with
        return f'is {_shown(value)}, with half of a surrogate pair'
    return None


def _why(record: Record, fault: str) -> str:
    return f' ({record.why_empty})' if record.why_empty and fault == 'is empty' else ''


def _shown(value: Any, most: int = 200) -> str:
    text = repr(value)
    return text if len(text) <= most else f'{text[:most]}... ({len(text):,} characters)'


def _file_cell(
    record: Record,
    column: str,
    folder: Folder | None,
    problems: list[str],
    rules: Sequence[Callable[[str], str] | None] = (),
) -> str | None:
    value = record.values.get(column)
    fault = _fault(value)
    if fault:
        problems.append(f'{record.source}: {column!r} {fault}{_why(record, fault)}: expected a file name')
        return None
    name = value.strip()
    for rule in rules:
        name = rule(name) if rule is not None else name
    if folder is None:
        return name
    try:
        return folder.find(name)
    except LookupError as error:
        meant = '' if name == value.strip() else f'for this dataset the {folder.role} {_shown(name)}, '
        problems.append(f'{record.source}: {column!r} is {_shown(value)}, {meant}{error.args[0]}')
        return None


def _expression_cell(
    record: Record, column: str, prompt: str, allow_empty: bool, problems: list[str]
) -> tuple[str, ...]:
    value = record.values.get(column)
    where = f'{record.source}: {column!r}'
    if isinstance(value, dict):
        if prompt not in value:
            problems.append(f'{where} has no {prompt!r}, only {", ".join(value)}: set prompt to one of them')
            return ()
        where, value = f'{where}, {prompt!r},', value[prompt]
    alternatives = value if isinstance(value, list) else [value]
    if not alternatives:
        problems.append(f'{where} is an empty list: expected an expression')
    texts = []
    for text in alternatives:
        fault = _fault(text)
        if fault == 'is empty' and allow_empty:
            texts.append('')
            continue
        if fault is None and not any(character.isalpha() for character in text):
            fault = f'is {_shown(text)}, without a letter'  # how csv, which has no types, shows a number
        if fault:
            mend = ' (or allow_empty_text=True for a text-free baseline)' if fault == 'is empty' else ''
            problems.append(f'{where} {fault}{_why(record, fault)}: expected an expression{mend}')
        else:
            texts.append(text.strip())
    return tuple(texts)
