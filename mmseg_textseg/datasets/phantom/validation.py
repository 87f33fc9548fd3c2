"""Checks of a slice before it is written, and of a phantom after."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from .lesions import Lesion, largest_diameter

SPLIT_NAMES = ('train', 'val', 'test')
MARKER = 'phantom.json'  # written last; marks a folder as a finished phantom


def check_slice(image: np.ndarray, lesions: Sequence[Lesion], where: str) -> None:
    """Checks one slice in memory: masks of the picture's size, not empty, disjoint; ``where`` names it in errors.

    Raises:
        RuntimeError: if one of these does not hold.
    """
    total = np.zeros(image.shape, int)
    for lesion in lesions:
        if lesion.mask.shape != image.shape or not lesion.mask.any():
            raise RuntimeError(f'{where}: an empty mask or one of another size; a bug of the phantom, please report it')
        total += lesion.mask
    if total.max() > 1:
        raise RuntimeError(f'{where}: lesions overlap; a bug of the phantom, please report it')


def validate_phantom(out: str | os.PathLike, counts: dict | None = None) -> None:
    """Reads a written phantom again and checks files, fields that follow from the masks, and splits.

    Args:
        out: folder of the phantom.
        counts: expected counts; by default those of ``phantom.json``.

    Raises:
        ValueError: naming the file and row that is wrong.
    """
    out = Path(out)
    counts = counts or json.loads((out / MARKER).read_text())['counts']
    owner: dict[str, str] = {}
    for name in SPLIT_NAMES:
        rows = [json.loads(line) for line in (out / f'{name}.jsonl').read_text().splitlines()]
        if len(rows) != counts['expressions'][name]:
            raise ValueError(f'{out / name}.jsonl: {len(rows)} rows, expected {counts["expressions"][name]}')
        said, taken = set(), {}
        for number, row in enumerate(rows, start=1):
            where = f'{out / name}.jsonl, row {number}'
            if owner.setdefault(row['case_id'], name) != name:
                raise ValueError(f'{where}: {row["case_id"]} is in {owner[row["case_id"]]} as well')
            if (row['image'], row['expression']) in said:
                raise ValueError(f'{where}: the sentence names two lesions of {row["image"]}, or one twice')
            said.add((row['image'], row['expression']))
            if row['mask'] in taken:
                continue
            mask = cv2.imread(str(out / 'masks' / row['mask']), cv2.IMREAD_UNCHANGED)
            taken[row['mask']] = True
            if mask is None or mask.ndim != 2 or not mask.any() or set(np.unique(mask)) - {0, 255}:
                raise ValueError(f'{where}: masks/{row["mask"]} is no mask of 0 and 255, or an empty one')
            if abs(largest_diameter(mask > 0) * row['pixel_spacing_mm'] - row['diameter_mm']) > 0.251:
                raise ValueError(f'{where}: diameter_mm={row["diameter_mm"]} does not fit masks/{row["mask"]}')
