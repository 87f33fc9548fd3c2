"""Windows: which range of a volume's values becomes black to white."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# (level, width) in Hounsfield units: the values that Radiopaedia's article "Windowing (CT)" (Murphy, Bell et al.,
# https://radiopaedia.org/articles/windowing-ct) calls typical. It gives ranges for subdural (L 50-100, W 130-300),
# of which this is the middle, and two windows for stroke (the other is L 32, W 8) and temporal bones (L 700, W 4000).
# 'soft_tissue' is its "soft tissues" of the abdomen.
WINDOWS: dict[str, tuple[float, float]] = {
    'abdomen': (50, 400),
    'bone': (400, 1800),
    'brain': (40, 80),
    'liver': (30, 150),
    'lung': (-600, 1500),
    'mediastinum': (50, 350),
    'soft_tissue': (50, 400),
    'spine': (50, 250),
    'stroke': (40, 40),
    'subdural': (75, 215),
    'temporal_bone': (600, 2800),
}

_NUMBER = r'([-+]?\d*\.?\d+)'
_LEVEL_WIDTH = re.compile(rf'{_NUMBER},{_NUMBER}')
_PERCENTILES = re.compile(rf'p{_NUMBER},p{_NUMBER}')


class Window(NamedTuple):
    """A range of values, or how to find it.

    Attributes:
        name: as the user wrote it.
        kind: ``'preset'`` (low and high in Hounsfield units), ``'range'`` (low and high in the file's units),
            ``'percentiles'`` (low and high in per cent) or ``'dicom'`` (the file says).
        low: what becomes black, 0 for ``'dicom'``.
        high: what becomes white, 0 for ``'dicom'``.
    """

    name: str
    kind: str
    low: float = 0
    high: float = 0


WindowChoice = str | Sequence  # one window, or three for the channels red, green, blue


def parse_windows(choice: WindowChoice | None) -> tuple[Window, ...]:
    """Read a choice of windows.

    Args:
        choice: one window or three, for red, green and blue. A window is the name of a preset (``'liver'``), a pair
            (level, width) or ``'30,150'``, percentiles ``'p0.5,p99.5'``, or ``'dicom'``. ``None`` is no window.

    Returns:
        None, one or three windows.

    Raises:
        ValueError: if it is none of these.
    """
    if choice is None:
        return ()
    if isinstance(choice, str) or (len(choice) == 2 and all(_is_number(value) for value in choice)):
        return (_parse(choice),)
    if len(choice) not in (1, 3):
        raise ValueError(f'window is {choice!r}: expected one window, or three for red, green and blue')
    return tuple(_parse(one) for one in choice)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _parse(one: object) -> Window:
    if isinstance(one, str):
        text = one.strip().replace(' ', '')
        if text in WINDOWS:
            level, width = WINDOWS[text]
            return Window(text, 'preset', level - width / 2, level + width / 2)
        if text == 'dicom':
            return Window(text, 'dicom')
        if match := _PERCENTILES.fullmatch(text):
            low, high = map(float, match.groups())
            if not 0 <= low < high <= 100:
                raise ValueError(f'window {one!r}: expected percentiles 0 <= low < high <= 100')
            return Window(text, 'percentiles', low, high)
        pair = _LEVEL_WIDTH.fullmatch(text)
        pair = tuple(map(float, pair.groups())) if pair else None
    else:
        pair = tuple(one) if isinstance(one, (list, tuple)) and len(one) == 2 and all(map(_is_number, one)) else None
    if pair is None:
        raise ValueError(
            f'window {one!r} is unknown: expected one of {", ".join(WINDOWS)}, a level and a width (30,150), '
            "percentiles (p0.5,p99.5), or 'dicom'"
        )
    level, width = pair
    if width <= 0:
        raise ValueError(f'window {one!r} has the width {width:g}: expected level, width with a width above 0')
    return Window(f'{level:g},{width:g}', 'range', level - width / 2, level + width / 2)


def to_grey(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values as uint8: ``low`` and less is 0, ``high`` and more 255, linear between (DICOM's LINEAR_EXACT).

    NaN is 0. A range without width, as of a constant picture, gives 0 everywhere.
    """
    if not high > low:
        return np.zeros(np.shape(values), np.uint8)
    grey = (np.asarray(values, np.float64) - low) * (255 / (high - low))
    return np.rint(np.clip(np.nan_to_num(grey, nan=0), 0, 255)).astype(np.uint8)
