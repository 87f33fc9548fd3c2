"""COCO captions (Chen et al. 2015): captions_<split>.json -> a jsonl a split; the images stay where they are.

--src is the folder that holds captions_train2017.json, captions_val2017.json, ... (COCO's annotations/), at any depth.
"""

import argparse
import json
import os
from pathlib import Path

from ..coco_captions import is_coco, read_coco
from .conversion import Conversion, ConversionError
from .pairs import files_below, noting

HELP = "COCO captions: captions_*.json -> a jsonl a split, a row a caption, in COCO's order"

START = 'captions_'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which captions, and where the images are."""
    parser.add_argument(
        '--captions', choices=['all', 'first'], default='all', help='of an image; the first is that with the least id'
    )
    parser.add_argument(
        '--images',
        type=Path,
        metavar='DIR',
        help='folder that holds train2017, val2017, ...: check that all images are there; copies none',
    )


def convert(src: Path, conversion: Conversion, args: argparse.Namespace) -> None:
    """Write ``<split>.jsonl`` (``train2017.jsonl`` of ``captions_train2017.json``) of ``{"image", "expression"}``.

    Args:
        src: see above.
        conversion: writes.
        args: of :func:`add_arguments`.

    Raises:
        ConversionError: with everything that is wrong in any of the files, or all images that are missing; then
            nothing was written.
    """
    files = [path for path in files_below(src, '.json') if path.name.startswith(START)]
    if not files:
        raise ConversionError(str(src), [f"no {START}*.json: give COCO's folder annotations"])
    problems: list[str] = []
    tables: dict[str, list[dict]] = {}
    for path in files:
        split = path.stem.removeprefix(START)
        if split in tables:
            problems.append(f'{path}: {path.name} is there twice: keep one')
            continue
        tables[split] = []
        with noting(problems):
            tables[split] = _read(path, args.captions, problems)
            if args.images is not None:
                problems += _missing(args.images / split, tables[split])
    if problems:
        raise ConversionError(', '.join(str(path) for path in files), problems)
    for split, rows in tables.items():
        conversion.table(f'{split}.jsonl', rows)
        conversion.count(f'{split} images', len({row['image'] for row in rows}))
        conversion.count(f'{split} captions', len(rows))


def _read(path: Path, captions: str, problems: list[str]) -> list[dict]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f'{path}: is no JSON ({error}): copy it anew') from error
    if not is_coco(content):
        raise ValueError(f"{path}: expected an object with 'images' and 'annotations', as COCO publishes it")
    table = read_coco(str(path), content)
    problems += table.problems
    rows: dict[tuple, dict] = {}
    for record in table.records:
        image, text = record.values['image'].strip(), record.values['caption']
        if not isinstance(text, str) or not text.strip():
            problems.append(f"{record.source}: 'caption' is {text!r}: expected a sentence")
            continue
        key = (image,) if captions == 'first' else (image, len(rows))
        rows.setdefault(key, dict(image=image, expression=text.strip()))
    return list(rows.values())


def _missing(folder: Path, rows: list[dict]) -> list[str]:
    if not folder.is_dir():
        return [f'--images: no folder {folder}']
    there = set(os.listdir(folder))
    return [f'{folder}: no {name}' for name in dict.fromkeys(row['image'] for row in rows) if name not in there]
