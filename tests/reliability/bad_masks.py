"""Masks, as datasets load them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from bad_input import Case, cut, dataset, noise, write
from bad_pictures import BLOCK, STOCK, empty, floats, found, load, mask, values
from PIL import Image
from torch.utils.data import DataLoader

from mmseg_textseg.apis.cli import plain_errors
from mmseg_textseg.datasets import PictureError


def in_a_worker(folder: Path) -> None:
    """As a training meets it: the worker's error has its traceback in the message."""
    data = dataset(folder, STOCK)
    with plain_errors():
        next(iter(DataLoader(data, num_workers=1)))


def truncated_grey(path: Path) -> None:
    cut(write(path, noise(channels=1)))


def is_block(folder: Path) -> None:
    assert np.array_equal(load(folder)['gt_seg_map'], BLOCK)


def palette(*colours: int) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        picture = Image.fromarray(BLOCK, mode='P')
        picture.putpalette(colours)
        picture.save(path)

    return make


def rgba(alpha_alone: bool) -> np.ndarray:
    layers = np.zeros((8, 8, 4), np.uint8)
    layers[..., 3] = BLOCK * 255 if alpha_alone else 128
    layers[..., 0] = 0 if alpha_alone else BLOCK * 255
    return layers


def pages(path: Path) -> None:
    Image.fromarray(BLOCK).save(path, save_all=True, append_images=[Image.fromarray(BLOCK)])


def relabelled(folder: Path) -> None:
    dataset(folder, STOCK, metainfo=dict(classes=('lesion',)))[0]


CASES = [
    Case(
        'a mask cut off, met by a worker process of a training',
        mask('a.png', truncated_grey),
        in_a_worker,
        SystemExit,
        ('PictureError: mask', 'a.png is damaged or cut off', 'copy it again'),
    ),
    Case(
        'a mask cut off',
        mask('a.png', truncated_grey),
        load,
        PictureError,
        ('mask', 'a.png is damaged or cut off', 'copy it again'),
    ),
    Case(
        'a mask of 0 bytes',
        mask('a.png', empty),
        load,
        PictureError,
        ('mask', 'a.png is not a picture', 'save it as png'),
    ),
    Case(
        'a mask of another size',
        mask('a.png', values(BLOCK[:, :4])),
        load,
        PictureError,
        ('mask', 'a.png is 8 x 4 (height x width), its image', 'a.png is 8 x 8', 'save both in one size'),
    ),
    Case(
        'a mask of several pages',
        mask('a.tif', pages),
        load,
        PictureError,
        ('mask', 'a.tif has 2 pages', 'save the one that is meant'),
    ),
    Case(
        'a mask with NaN',
        mask('a.tif', values(floats(np.nan))),
        load,
        PictureError,
        ('a.tif holds NaN or infinite values', 'save it as a grey png of 0 and 255'),
    ),
    Case(
        'a palette in which background and black differ',
        mask('a.png', palette(255, 255, 255, 0, 0, 0)),
        load,
        PictureError,
        ('a.png has a palette in which index 0 and black are not the same', 'save it as a grey png'),
    ),
    Case(
        'a mask that differs in transparency only',
        mask('a.png', values(rgba(True))),
        load,
        PictureError,
        ('a.png is all black and differs in transparency only', 'save it as a grey png'),
    ),
    Case(
        'other classes than the dataset has',
        mask('a.png', values(BLOCK)),
        relabelled,
        PictureError,
        ('LoadMask gives 0 and 1 and cannot relabel', 'name new classes in METAINFO'),
    ),
    Case(
        'a mask of 16 bits',
        mask('a.png', values(BLOCK.astype(np.uint16) * 300)),
        is_block,
        works='All but 0 is foreground.',
    ),
    Case(
        'a mask in RGBA',
        mask('a.png', values(rgba(False))),
        is_block,
        works='Any colour is foreground; transparency says nothing.',
    ),
    Case('a mask with a palette', mask('a.png', palette(0, 0, 0, 200, 0, 0)), is_block, works='Read by colour.'),
    Case(
        '255 in a mask where 0 and 1 are expected',
        mask('a.png', values(BLOCK * 255)),
        is_block,
        works='Foreground, as 1 is.',
    ),
    Case(
        'values of unknown classes in a mask',
        mask('a.png', values(BLOCK * 7)),
        is_block,
        works='All but 0 is foreground; LoadMask has `threshold`, LoadMedicalMask `labels`.',
    ),
    Case(
        'shades of JPEG in a mask',
        mask('a.jpg', values(BLOCK * 255)),
        found('odd-mask', 'a.jpg', 'save masks as png'),
        works='Loaded; `tools/doctor.py` warns (`odd-mask`).',
    ),
]
