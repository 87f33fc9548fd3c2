"""The folders of LViT (Li et al., IEEE TMI 2024; github.com/HUANGLIZI/LViT), in which people share its datasets."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..annotations import AnnotationRow, iter_annotations
from ..text_seg_dataset import TextSegDataset
from .conversion import ConversionError
from .pairs import noting

FOLDERS = dict(train='Train_Folder', val='Val_Folder', test='Test_Folder')


@dataclass(frozen=True)
class Split:
    """A table, and the folders in which its images and masks are."""

    table: Path
    images: Path
    masks: Path


def lvit_splits(src: Path) -> dict[str, Split]:
    """``Train_Folder`` with ``img``, ``labelcol`` and ``Train_text.xlsx`` (or csv), and the same for Val and Test.

    Returns:
        Those of the three that are there.

    Raises:
        ConversionError: a folder is there, but not all of its parts.
    """
    splits, problems = {}, []
    for split, folder in FOLDERS.items():
        root = src / folder
        if not root.is_dir():
            continue
        tables = [path for ending in ('xlsx', 'csv') for path in root.glob(f'{split.title()}_text.{ending}')]
        if not tables:
            problems.append(f'no {folder}/{split.title()}_text.xlsx: put the table there')
        problems += [f'no folder {folder}/{name}' for name in ('img', 'labelcol') if not (root / name).is_dir()]
        if not problems:
            splits[split] = Split(tables[0], root / 'img', root / 'labelcol')
    if problems:
        raise ConversionError(str(src), problems)
    return splits


def find_table(src: Path, start: str, problems: list[str]) -> Path | None:
    """The one xlsx or csv at any depth whose name begins so, as LViT's page names it or a browser renamed it."""
    found = [
        path for path in sorted(src.rglob(f'{start}*')) if path.suffix.lower() in ('.xlsx', '.csv') and path.is_file()
    ]
    if len(found) == 1:
        return found[0]
    many = f'may be {" or ".join(str(path.relative_to(src)) for path in found)}: keep one'
    problems.append(f'{start}*.xlsx {many if found else "is missing: get it from the links on the page of LViT"}')
    return None


def read_splits(splits: dict[str, Split], kind: type[TextSegDataset]) -> dict[str, list[AnnotationRow]]:
    """Rows of all tables, with the file names of the dataset ``kind``.

    Raises:
        ConversionError: with what is wrong with any row of any of them.
    """
    rows: dict[str, list[AnnotationRow]] = {}
    problems: list[str] = []
    for name, split in splits.items():
        with noting(problems):
            rows[name] = list(
                iter_annotations(
                    str(split.table),
                    str(split.images),
                    str(split.masks),
                    image_name=kind.image_name,
                    mask_name=kind.mask_name,
                    problems=problems,
                )
            )
    if problems:
        raise ConversionError(', '.join(dict.fromkeys(str(split.table) for split in splits.values())), problems)
    return rows


def unlike_published(rows: dict[str, Iterable], published: dict[str, int]) -> str | None:
    """A hint if the splits have other numbers of rows; people cut subsets."""
    found = {split: len(list(rows.get(split, ()))) for split in published}
    if found == published:
        return None
    told = ', '.join(f'{split} {found[split]:,} (published: {count:,})' for split, count in published.items())
    return f'not as many rows as published: {told}. Right for a subset'
