"""GlaS: glands in stained colon tissue (Sirinukunwattana et al. 2017), as unpacked from Warwick's archive.

--src holds, at any depth:
  train_1.bmp train_1_anno.bmp ...  testA_1.bmp testA_1_anno.bmp ...  testB_1.bmp ...  [Grade.csv]
"""

import argparse
import re
from pathlib import Path

import numpy as np
from PIL import Image

from ..annotation_readers import read_table
from .conversion import Conversion, ConversionError
from .pairs import (
    add_sentences_argument,
    files_below,
    join_sentences,
    noting,
    read_picture,
    read_sentences,
    write_tables,
)

HELP = 'GlaS: numbered glands in bmp -> masks of 0/255 (and numbered ones), tables with the grades'

ANNOTATION = '_anno.bmp'
# Beginning of a column of Grade.csv, without case -> key of the rows.
GRADES = {'patient id': 'patient', 'grade (glas)': 'grade', 'grade (sirinukunwattana': 'grade_2015'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Numbered glands too, sentences."""
    parser.add_argument(
        '--instances', action='store_true', help='also instances/*.png: 16 bit, the number of each gland'
    )
    add_sentences_argument(parser)


def convert(src: Path, conversion: Conversion, args: argparse.Namespace) -> None:
    """Write ``images/``, ``masks/`` (0/255), with ``--instances`` ``instances/`` (16 bit), and a jsonl a split.

    Splits are train, testA and testB, or those of ``--sentences``. A row is ``{"image", "mask", "instances", "split",
    "glands", "patient", "grade", "grade_2015", "expression"}``, less what there is not.

    Args:
        src: see above.
        conversion: writes.
        args: of :func:`add_arguments`.

    Raises:
        ConversionError: with all that is missing or cannot be read.
    """
    sentences = read_sentences(args.sentences)
    annotations = files_below(src, ANNOTATION)
    problems: list[str] = []
    if not annotations:
        raise ConversionError(str(src), [f'no *{ANNOTATION}: unpack the archive of Warwick there'])
    grades = _read_grades(src, problems)
    pictures: dict[str, dict] = {}
    for path in conversion.each(annotations):
        stem = path.name[: -len(ANNOTATION)]
        split = re.fullmatch(r'([A-Za-z]+)_\d+', stem)
        if split is None or stem in pictures:
            problems.append(f'{path}: ' + ('is there twice' if split else 'expected a name such as train_1_anno.bmp'))
            continue
        with noting(problems):
            image = path.with_name(f'{stem}.bmp')
            numbers = _read_numbers(path, image)
            row = dict(image=f'{stem}.png', mask=f'{stem}.png', split=split[1])
            conversion.write(f'images/{stem}.png', lambda image=image: read_picture(image), image)
            conversion.write(f'masks/{stem}.png', lambda n=numbers: (n > 0).astype(np.uint8) * 255, path, image)
            if args.instances:
                row['instances'] = conversion.write(f'instances/{stem}.png', lambda n=numbers: n, path, image)
            row['glands'] = len(np.unique(numbers[numbers > 0]))
            pictures[stem] = {**row, **grades.get(stem, {})}
            conversion.count('images')
            conversion.count('glands', row['glands'])
    if problems:
        raise ConversionError(str(src), problems)
    write_tables(conversion, join_sentences(pictures, sentences, conversion))


def _read_numbers(path: Path, image: Path) -> np.ndarray:
    """(H, W) uint16: 0 is no gland."""
    if not image.is_file():
        raise ValueError(f'{path}: no {image.name} beside it')
    try:
        with Image.open(path) as picture:
            numbers = np.asarray(picture)  # of a picture with a palette: its indices
    except OSError as error:
        raise ValueError(f'{path} is not a picture that Pillow reads ({error}): get the file anew') from error
    expected = read_picture(image).shape[:2]
    if numbers.ndim != 2 or numbers.shape != expected:
        raise ValueError(f'{path} has the shape {numbers.shape}: expected that of its image, {expected}')
    return numbers.astype(np.uint16)


def _read_grades(src: Path, problems: list[str]) -> dict[str, dict]:
    """Stem -> patient and grades, of Grade.csv where there is one."""
    tables = files_below(src, 'grade.csv')
    grades: dict[str, dict] = {}
    with noting(problems):
        for table in [read_table(str(path)) for path in tables[:1]]:
            problems += table.problems
            keys = {
                column: key
                for column in table.columns
                for start, key in GRADES.items()
                if column.lower().startswith(start)
            }
            if 'name' not in table.columns or not keys:
                problems.append(
                    f'{table.path}: columns {", ".join(table.columns)}: expected name, patient ID, grade (GlaS)'
                )
                break
            for record in table.records:
                values = {key: str(record.values[column] or '').strip() for column, key in keys.items()}
                grades[str(record.values['name']).strip()] = values
    return grades
