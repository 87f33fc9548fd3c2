"""What several converters share: pictures that belong together, and sentences from tables."""

import argparse
import os
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from ..annotation_table import AnnotationError
from ..annotations import AnnotationRow, load_annotations
from ..file_names import split_name
from ..transforms import LoadMask
from .conversion import Conversion, ConversionError


@contextmanager
def noting(problems: list[str]) -> Iterator[None]:
    """Note what is wrong with one file, or the problems of one table, instead of raising it.

    Other errors, as of a full disk, are raised.
    """
    try:
        yield
    except (AnnotationError, ConversionError) as error:
        problems.extend(error.problems)
    except (FileNotFoundError, ValueError) as error:
        problems.append(str(error))


def read_picture(path: str | os.PathLike) -> np.ndarray:
    """Read any picture as (H, W, 3) uint8, BGR.

    Raises:
        ValueError: it cannot be read.
    """
    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) if os.path.getsize(path) else None
    if picture is None:
        raise ValueError(f'{path} is not a picture that OpenCV reads: get the file anew')
    return picture


def read_mask(path: str | os.PathLike, image: str | os.PathLike) -> np.ndarray:
    """Read a mask of any form as (H, W) of 0 and 255; see :class:`LoadMask`.

    Raises:
        ValueError: one of the two cannot be read, or their sizes differ.
    """
    results = dict(seg_map_path=str(path), img_path=str(image), ori_shape=read_picture(image).shape[:2])
    try:
        return LoadMask().transform(results)['gt_seg_map'] * 255
    except OSError as error:  # of Pillow
        raise ValueError(f'mask {path}: {error}: get the file anew') from error


def files_below(src: Path, *endings: str) -> list[Path]:
    """Files at any depth by their endings in lower case, sorted, without those that macOS adds."""
    return [path for path in _below(src, '*') if path.name.lower().endswith(endings) and path.is_file()]


def folders_below(src: Path, name: str) -> list[Path]:
    """Folders of a name at any depth, sorted, without those that macOS adds."""
    return [path for path in _below(src, name) if path.is_dir()]


def _below(src: Path, pattern: str) -> list[Path]:
    foreign = ('.', '__MACOSX')
    return [path for path in sorted(src.rglob(pattern))
            if not any(part.startswith(foreign) for part in path.relative_to(src).parts)]  # fmt: skip


def write_splits(conversion: Conversion, splits: dict[str, list[AnnotationRow]]) -> None:
    """Write ``images/<split>/``, ``masks/<split>/`` (0/255) and ``<split>.jsonl`` of rows with an image and a mask.

    Images are copied as they are; a mask takes the stem of its image. Splits have folders of their own because two
    published folders may use one name for different pictures.

    Raises:
        ConversionError: with all pictures that cannot be read, or whose sizes differ; the others were written.
    """
    problems: list[str] = []
    pairs = [(split, row) for split, rows in splits.items() for row in rows]
    written: dict[str, AnnotationRow] = {}
    tables: dict[str, list[dict]] = {split: [] for split in splits}
    for split, row in conversion.each(pairs):
        name = posixpath.join(split, os.path.basename(row.image))
        mask = posixpath.join(split, split_name(os.path.basename(row.image))[1] + '.png')
        first = written.setdefault(name, row)
        if first.mask != row.mask:
            problems.append(f'{row.source}: {row.mask} is another mask than in {first.source}: one an image')
        if first is row:  # else a further sentence
            with noting(problems):
                conversion.write(f'masks/{mask}', lambda row=row: read_mask(row.mask, row.image), row.mask, row.image)
                conversion.copy(f'images/{name}', row.image)
                conversion.count(f'{split} images')
        for text in row.expressions:
            tables[split].append({**dict(image=name, mask=mask, expression=text), **_attributes(row, 'image', 'mask')})
    if problems:
        raise ConversionError(f'--out {conversion.out}', problems)
    for split, rows in tables.items():
        conversion.table(f'{split}.jsonl', rows)
        conversion.count(f'{split} expressions', len(rows))


def _attributes(row: AnnotationRow, *taken: str) -> dict:
    """Other columns of a row, as json can hold them."""
    return {
        key: value if value is None or isinstance(value, (str, int, float, list, dict)) else str(value)
        for key, value in row.attributes.items()
        if key not in ('expression', *taken)
    }


def add_sentences_argument(parser: argparse.ArgumentParser) -> None:
    """Tables with sentences, for datasets that are published without."""
    parser.add_argument(
        '--sentences',
        nargs='+',
        default=[],
        metavar='SPLIT=TABLE',
        help='tables (xlsx, csv, ...) with columns Image and Description, e.g. train=Train_text.xlsx; they decide the '
        'splits. Without them the tables written have no sentences, which tools/make_expressions.py can add',
    )


def read_sentences(given: Sequence[str]) -> dict[str, list[AnnotationRow]]:
    """Rows of each table of ``SPLIT=TABLE``; their images are names.

    Raises:
        ConversionError: with all that is wrong with the arguments and the tables.
    """
    splits: dict[str, list[AnnotationRow]] = {}
    problems: list[str] = []
    for word in given:
        split, _, table = word.partition('=')
        if not split.isidentifier() or not table:
            problems.append(f'{word!r}: expected SPLIT=TABLE, e.g. train=Train_text.xlsx')
        elif split in splits:
            problems.append(f'{word!r}: {split} has a table already')
        else:
            splits[split] = []
            with noting(problems):
                splits[split] = load_annotations(table)
    if problems:
        raise ConversionError('--sentences', problems)
    return splits


def join_sentences(
    pictures: dict[str, dict], splits: dict[str, list[AnnotationRow]], conversion: Conversion
) -> dict[str, list[dict]]:
    """Put sentences to pictures, and pictures into splits.

    Args:
        pictures: stem -> row of the table to write, with ``split``, that of the publication.
        splits: of :func:`read_sentences`. Where there are none, the publication's splits stay, without sentences.
        conversion: counts pictures of which no table speaks; they are in no split then.

    Returns:
        Split -> rows.

    Raises:
        ConversionError: with all rows of the tables that name no picture.
    """
    tables: dict[str, list[dict]] = {}
    if not splits:
        for row in pictures.values():
            tables.setdefault(row['split'], []).append(row)
        return tables
    problems, spoken = [], set()
    for split, rows in splits.items():
        tables[split] = []
        for row in rows:
            stem = split_name(row.image)[1]
            if stem not in pictures:
                problems.append(f'{row.source}: {row.image!r}: no such picture in --src: mend the name or add the file')
                continue
            spoken.add(stem)
            for text in row.expressions:
                picture = {**pictures[stem], 'split': split, 'expression': text}
                tables[split].append({**picture, **_attributes(row, *picture)})
    if problems:
        raise ConversionError('--sentences', problems)
    if len(spoken) < len(pictures):
        conversion.count('pictures without a sentence, in no table', len(pictures) - len(spoken))
    return tables


def write_tables(conversion: Conversion, tables: dict[str, list[dict]]) -> None:
    """Write a jsonl a split and count its rows."""
    for split, rows in tables.items():
        conversion.table(f'{split}.jsonl', rows)
        conversion.count(f'{split} rows', len(rows))
