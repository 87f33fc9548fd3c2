"""Windows: shades worked out by hand, and every way to write one."""

import numpy as np
import pytest

from mmseg_textseg.datasets.medical import WINDOWS, parse_windows
from mmseg_textseg.datasets.medical.windows import to_grey


@pytest.mark.parametrize(
    ('window', 'value', 'grey'),
    [
        ('liver', -45, 0),  # level 30, width 150: -45 ... 105
        ('liver', -1000, 0),
        ('liver', 105, 255),
        ('liver', 3000, 255),
        ('liver', 0, 76),  # 45 / 150 * 255 = 76.5, to the even one
        ('liver', 60, 178),  # 105 / 150 * 255 = 178.5
        ('lung', -600, 128),
        ('lung', -1350, 0),
        ('lung', 150, 255),
        ('bone', 400, 128),
        ((100, 10), 97, 51),  # 2 / 10 * 255
        ('100,10', 97, 51),
        (' -600, 1500 ', -600, 128),
        ((0, 2), np.nan, 0),
        ((0, 2), np.inf, 255),
        ((0, 2), -np.inf, 0),
    ],
)
def test_shades(window, value, grey):
    (parsed,) = parse_windows(window)
    shades = to_grey(np.array([[value]]), parsed.low, parsed.high)
    assert shades.dtype == np.uint8
    assert shades.item() == grey


def test_a_constant_picture_is_black():
    assert not to_grey(np.full((2, 2), 7.0), 7, 7).any()


def test_every_preset_has_a_width():
    assert all(width > 0 for _, width in WINDOWS.values())


def test_one_or_three():
    assert parse_windows(None) == ()
    assert [window.name for window in parse_windows(['lung', (50, 350), 'p1,p99'])] == ['lung', '50,350', 'p1,p99']
    assert parse_windows(['liver']) == parse_windows('liver')


@pytest.mark.parametrize(
    ('window', 'words'),
    [
        ('livre', r"'livre' is unknown: expected one of abdomen, bone, .*\(30,150\)"),
        ((40, 0), 'width 0'),
        ('40,-3', 'width -3'),
        ('p99,p1', 'percentiles 0 <= low < high <= 100'),
        ('p1,p101', 'percentiles'),
        (['liver', 'lung', 'bone', 'brain'], 'one window, or three'),
        ((40, float('nan')), 'one window, or three'),
        (['liver', (True, 3), 'lung'], r'window \(True, 3\) is unknown'),
    ],
)
def test_what_is_no_window(window, words):
    with pytest.raises(ValueError, match=words):
        parse_windows(window)
