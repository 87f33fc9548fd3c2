"""Images, as datasets load them."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bad_input import Case, Place, cut, dataset, inferencer, noise, rows, write
from bad_pictures import BLOCK, STOCK, empty, floats, found, image, load, values

from mmseg_textseg.datasets import PictureError


def text(path: Path) -> None:
    path.write_text('no picture')


def truncated(path: Path) -> None:
    cut(write(path, noise()))


def removed(place: Place):
    data = dataset(image('a.png', values(noise()))(place), STOCK[:1])
    len(data)
    os.unlink(place.folder / 'img' / 'a.png')
    return data


def of_size(height: int, width: int) -> Callable[[tuple], None]:
    def run(made: tuple) -> None:
        place, path = made
        answer = inferencer(place.config, place.checkpoint)(path, 'the lesion')
        assert answer.mask.shape == (height, width)
        assert np.isfinite(answer.probability).all()

    return run


def shaped(height: int, width: int) -> Callable[[Place], tuple]:
    return lambda place: (place, write(place.folder / 'a.png', noise(height, width)))


def deep_image(place: Place) -> Path:
    write(place.folder / 'img' / 'a.png', noise(8, 8, 1).astype(np.uint16) * 200)
    write(place.folder / 'mask' / 'a.png', BLOCK)
    return rows(place.folder, 'a.png', 'a.png')


DECODE = ('cannot be decoded', 'expected PNG, JPEG', 'copy the file again')
CASES = [
    Case('a PNG cut off', image('a.png', truncated), load, PictureError, ('image', 'a.png', *DECODE)),
    Case('a JPEG cut off', image('a.jpg', truncated), load, PictureError, ('image', 'a.jpg', *DECODE)),
    Case('an image of 0 bytes', image('a.png', empty), load, PictureError, ('image', 'a.png', *DECODE)),
    Case('a text file named .png', image('a.png', text), load, PictureError, ('image', 'a.png', *DECODE)),
    Case(
        'an image that is deleted after the table was read',
        removed,
        lambda data: data[0],
        FileNotFoundError,
        ('No such file', 'a.png'),
    ),
    Case(
        'a folder where a picture is loaded',
        image('a', Path.mkdir),
        load,
        PictureError,
        ('image', 'a cannot be decoded, being a folder', 'with LoadMedicalImage'),
    ),
    Case('a picture of 1 x 1', shaped(1, 1), of_size(1, 1), works='Segmented.'),
    Case('a picture of 1 x 4000', shaped(1, 4000), of_size(1, 4000), works='Segmented.'),
    Case(
        '16 bits loaded as 8',
        deep_image,
        found('deep-image', 'a.png', 'load with LoadMedicalImage'),
        works='Loaded as OpenCV does; `tools/doctor.py` warns (`deep-image`).',
    ),
    Case(
        'a TIFF of floats with LoadImageFromFile',
        image('a.tif', values(floats(np.inf))),
        load,
        PictureError,
        ('image', 'a.tif', 'cannot be decoded', 'with LoadMedicalImage'),
    ),
]
