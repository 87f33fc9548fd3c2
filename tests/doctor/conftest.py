"""A tiny dataset on disk: two splits, a picture and a mask a row."""

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mmseg_textseg.doctor import examine, table_splits

HALVES = dict(left=slice(2, 12), right=slice(20, 30))


def picture(seed: int) -> np.ndarray:
    """Smooth noise: no two seeds look alike to a perceptual hash."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return cv2.resize(noise, (32, 32), interpolation=cv2.INTER_CUBIC)


class TinySet:
    """Writes and changes a dataset; ``found()`` examines it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: dict[str, list[dict]] = dict(train=[], test=[])
        for folder in ('images', 'masks'):
            (root / folder).mkdir(parents=True)
        for number in range(10):
            self.add('train' if number < 6 else 'test', f'p{number}', ('left', 'right')[number % 2], number)

    def add(self, split: str, name: str, side: str, seed: int, **values) -> dict:
        mask = np.zeros((32, 32), np.uint8)
        mask[10:20, HALVES[side]] = 255
        cv2.imwrite(str(self.root / 'images' / f'{name}.png'), picture(seed))
        cv2.imwrite(str(self.root / 'masks' / f'{name}.png'), mask)
        text = f'The {("small", "round", "dark", "pale")[seed % 4]} node number {seed} at the {side}'
        row = dict(image=f'{name}.png', mask=f'{name}.png', expression=text, case_id=f'case {name}') | values
        self.rows[split].append(row)
        return row

    def write(self) -> None:
        for name, rows in self.rows.items():
            (self.root / f'{name}.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))

    def splits(self, **options):
        self.write()
        return table_splits(str(self.root), [(name, f'{name}.jsonl') for name in self.rows], options=options)

    def found(self, splits=None, **options) -> SimpleNamespace:
        """``by``: check -> finding, ``all``: the examination."""
        options = dict(workers=1, progress=False) | options
        examination = examine(splits or self.splits(), **options)
        return SimpleNamespace(all=examination, by={finding.check: finding for finding in examination.findings})


@pytest.fixture
def tiny(tmp_path):
    return TinySet(tmp_path / 'set')
