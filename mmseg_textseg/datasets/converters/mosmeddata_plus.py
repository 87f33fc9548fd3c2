"""MosMedData+: CT slices with masks of COVID-19 infection, and LViT's sentences.

--src is either what was downloaded, at any depth:
  frames/*.png  masks/*.png                                                    (Kaggle; a mask is named like its image)
  Train_text_MosMedData+ 1.xlsx  Val_text_MosMedData+ 1.xlsx  Test_text_MosMedData+.xlsx   (LViT's page)
or the folders of LViT:
  {Train,Val,Test}_Folder/{img,labelcol}/*.png, <Split>_text.xlsx
"""

import argparse
import logging
from pathlib import Path

from mmengine.logging import print_log

from ..lvit_datasets import MosMedDataPlusDataset
from .conversion import Conversion, ConversionError
from .lvit import Split, find_table, lvit_splits, read_splits
from .pairs import folders_below, write_splits

HELP = "MosMedData+: frames, masks and LViT's three tables -> a folder and a table a split"

PUBLISHED = 2729  # slices, as LSMS counts them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def convert(src: Path, conversion: Conversion, args: argparse.Namespace) -> None:
    """Write ``images/<split>/x.png``, ``masks/<split>/x.png`` (0/255) and a jsonl a split.

    Args:
        src: see above.
        conversion: writes.
        args: nothing.

    Raises:
        ConversionError: with all files that are missing, or all rows that do not fit; nothing was written then. With
            all pictures that cannot be read.
    """
    rows = read_splits(lvit_splits(src) or _published(src), MosMedDataPlusDataset)
    found = sum(map(len, rows.values()))
    if found != PUBLISHED:
        print_log(
            f'mosmeddata-plus: {found:,} rows (published: {PUBLISHED:,} slices). Right for a subset',
            logger='current',
            level=logging.WARNING,
        )
    write_splits(conversion, rows)


def _published(src: Path) -> dict[str, Split]:
    problems: list[str] = []
    folders = []
    for name in ('frames', 'masks'):
        found = folders_below(src, name)
        if len(found) != 1:
            problems.append(f'{len(found) or "no"} folders {name!r}: expected one, as unpacked from Kaggle')
        folders += found[:1]
    tables = {split: find_table(src, f'{split.title()}_text', problems) for split in ('train', 'val', 'test')}
    if problems:
        raise ConversionError(str(src), [*problems, 'or give the folder that holds Train_Folder, as LViT arranges it'])
    return {split: Split(table, *folders) for split, table in tables.items()}
