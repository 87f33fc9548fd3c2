"""QaTa-COV19 v2: chest X-rays with masks of COVID-19 infection, and LViT's sentences.

--src is either what was downloaded, at any depth:
  QaTa-COV19-v2/{Train Set,Test Set}/{Images,Ground-truths}/*.png     (Kaggle; a mask is mask_<image>)
  Train_text*.xlsx  Test_text*.xlsx  Train_ID.xlsx  Val_ID.xlsx       (LViT's page)
or the folders of LViT:
  {Train,Val,Test}_Folder/{img,labelcol}/*.png, <Split>_text.xlsx
"""

import argparse
import logging
from pathlib import Path

from mmengine.logging import print_log

from ..annotation_readers import read_table
from ..annotation_table import find_column
from ..annotations import AnnotationRow
from ..file_names import split_name
from ..lvit_datasets import QaTaCOV19Dataset
from .conversion import Conversion, ConversionError
from .lvit import Split, find_table, lvit_splits, read_splits, unlike_published
from .pairs import folders_below, noting, write_splits

HELP = "QaTa-COV19: masks without the prefix mask_, LViT's sentences and splits"

# As code that reads the published tables asserts; LSMS counts 9,258 images.
PUBLISHED = dict(train=5716, val=1429, test=2113)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def convert(src: Path, conversion: Conversion, args: argparse.Namespace) -> None:
    """Write ``images/<split>/x.png``, ``masks/<split>/x.png`` (0/255) and a jsonl a split.

    LViT's table of the training images has those of validation too; ``Train_ID`` and ``Val_ID`` part it.

    Args:
        src: see above.
        conversion: writes.
        args: nothing.

    Raises:
        ConversionError: with all files that are missing, or all rows and ids that do not fit; nothing was written then.
            With all pictures that cannot be read.
    """
    splits = lvit_splits(src)
    rows = read_splits(splits, QaTaCOV19Dataset) if splits else _published(src)
    hint = unlike_published(rows, PUBLISHED)
    if hint:
        print_log(f'qata-cov19: {hint}', logger='current', level=logging.WARNING)
    write_splits(conversion, rows)


def _published(src: Path) -> dict[str, list[AnnotationRow]]:
    problems: list[str] = []
    sets = {name: _image_set(src, name, problems) for name in ('Train Set', 'Test Set')}
    train, test, *ids = (
        find_table(src, start, problems) for start in ('Train_text', 'Test_text', 'Train_ID', 'Val_ID')
    )
    if problems:
        raise ConversionError(str(src), [*problems, 'or give the folder that holds Train_Folder, as LViT arranges it'])
    splits = dict(
        train=Split(train, sets['Train Set'] / 'Images', sets['Train Set'] / 'Ground-truths'),
        test=Split(test, sets['Test Set'] / 'Images', sets['Test Set'] / 'Ground-truths'),
    )
    rows = read_splits(splits, QaTaCOV19Dataset)
    parts = _part(rows['train'], dict(zip(('train', 'val'), ids, strict=True)), train)
    return dict(**parts, test=rows['test'])


def _image_set(src: Path, name: str, problems: list[str]) -> Path | None:
    found = folders_below(src, name)
    if len(found) != 1:
        problems.append(f'{len(found) or "no"} folders {name!r}: expected that of QaTa-COV19-v2')
        return None
    missing = [part for part in ('Images', 'Ground-truths') if not (found[0] / part).is_dir()]
    problems += [f'no folder {found[0].relative_to(src) / part}' for part in missing]
    return found[0]


def _part(rows: list[AnnotationRow], tables: dict[str, Path], whole: Path) -> dict[str, list[AnnotationRow]]:
    """Rows of the training table, parted by the two tables of ids."""
    problems: list[str] = []
    split_of: dict[str, str] = {}
    for split, path in tables.items():
        with noting(problems):
            table = read_table(str(path))
            problems += table.problems
            column = find_column(table, 'image_column', None, problems)
            for record in table.records if column else ():
                stem = _stem(str(record.values.get(column)))
                if split_of.setdefault(stem, split) != split:
                    problems.append(f'{record.source}: {stem} is in {tables[split_of[stem]].name} too: keep one')
    stems = {_stem(row.image) for row in rows}
    names = ', '.join(path.name for path in tables.values())
    problems += [
        f'{row.source}: {_stem(row.image)} is in none of {names}' for row in rows if _stem(row.image) not in split_of
    ]
    problems += [
        f'{tables[split].name}: {stem} has no row in {whole.name}'
        for stem, split in split_of.items()
        if stem not in stems
    ]
    if problems:
        raise ConversionError(names, problems)
    return {split: [row for row in rows if split_of[_stem(row.image)] == split] for split in tables}


def _stem(name: str) -> str:
    return split_name(QaTaCOV19Dataset.image_name(Path(name.strip()).name))[1]
