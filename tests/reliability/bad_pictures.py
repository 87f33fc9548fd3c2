"""What the cases of pictures share: a dataset of one row, and files to put into it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from bad_input import Place, dataset, noise, rows, write

from mmseg_textseg.doctor import examine, table_splits

STOCK = [dict(type='LoadImageFromFile'), dict(type='LoadMask')]
BLOCK = np.zeros((8, 8), np.uint8)
BLOCK[2:5, 3:7] = 1


def image(name: str, make: Callable[[Path], object]) -> Callable[[Place], Path]:
    """The image of the only row."""

    def made(place: Place) -> Path:
        path = place.folder / 'img' / name
        path.parent.mkdir()
        make(path)
        return rows(place.folder, name)

    return made


def mask(name: str, make: Callable[[Path], object]) -> Callable[[Place], Path]:
    """The mask of the only row, beside a good image."""

    def made(place: Place) -> Path:
        write(place.folder / 'img' / 'a.png', noise(8, 8))
        path = place.folder / 'mask' / name
        path.parent.mkdir()
        make(path)
        return rows(place.folder, 'a.png', name)

    return made


def load(folder: Path) -> dict:
    steps = STOCK if (folder / 'mask').is_dir() else STOCK[:1]
    return dataset(folder, steps)[0]


def values(array: np.ndarray) -> Callable[[Path], object]:
    return lambda path: write(path, array)


def empty(path: Path) -> None:
    path.touch()


def floats(odd: float) -> np.ndarray:
    array = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    array[0, -1] = odd
    return array


def found(check: str, *said: str) -> Callable[[Path], None]:
    """The doctor tells of it."""

    def run(folder: Path) -> None:
        options = dict(data_prefix=dict(img_path='img', seg_map_path='mask'))
        splits = table_splits(str(folder), [('train', 't.csv')], 'TextSegDataset', options)
        (finding,) = [one for one in examine(splits, workers=1, near_distance=None).findings if one.check == check]
        assert all(part in f'{finding.message} {finding.examples} {finding.mend}' for part in said)

    return run
