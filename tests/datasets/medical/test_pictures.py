"""PNG and TIFF of 8 and 16 bits."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_textseg.datasets.medical import MedicalImageError, open_volume, parse_windows, view_slice


def picture(path, window=None, **options):
    volume = open_volume(path, **options)
    return volume.picture(view_slice(volume.grid), parse_windows(window))


@pytest.fixture
def save(tmp_path):
    def write(name, values):
        assert cv2.imwrite(str(tmp_path / name), values)
        return tmp_path / name

    return write


@pytest.mark.parametrize('name', ['a.png', 'a.tif'])
def test_sixteen_bits(save, name):
    path = save(name, np.array([[32768 - 45, 32768 + 30, 32768 + 105]], np.uint16))
    np.testing.assert_array_equal(picture(path, 'liver', intercept=-32768), [[0, 128, 255]])
    np.testing.assert_array_equal(picture(path, (32798, 150)), [[0, 128, 255]])
    with pytest.raises(MedicalImageError, match=r'more than 8 bits and needs a window'):
        picture(path)


def test_eight_bits_are_left_as_they_are(save):
    values = np.array([[0, 7, 255]], np.uint8)
    np.testing.assert_array_equal(picture(save('a.png', values), 'liver', intercept=-32768), values)
    colour = np.full((2, 2, 3), (10, 20, 30), np.uint8)
    np.testing.assert_array_equal(picture(save('b.png', colour)), colour)
    np.testing.assert_array_equal(picture(save('c.png', np.dstack([colour, colour[..., :1]]))), colour)


def test_what_is_no_picture(save, tmp_path):
    with pytest.raises(MedicalImageError, match=r'a\.png has colours of more than 8 bits'):
        picture(save('a.png', np.zeros((2, 2, 3), np.uint16)))
    pages = [Image.fromarray(np.full((2, 2), value, np.uint8)) for value in (0, 1)]
    pages[0].save(tmp_path / 'p.tif', save_all=True, append_images=pages[1:])
    with pytest.raises(MedicalImageError, match=r'p\.tif has 2 pages: save them as single pictures'):
        picture(tmp_path / 'p.tif')
    for name, content in (('t.png', b'text'), ('e.png', b'')):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MedicalImageError, match=rf'{name} is not an image that is read here: expected NIfTI'):
            picture(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r'no image .*gone\.png'):
        picture(tmp_path / 'gone.png')
