"""How a cost grows: the exponent of what was swept."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .measure import Spread


class Series(NamedTuple):
    """Seconds of one contender while one axis is swept and all others stand still.

    Attributes:
        family: names of the groups without their numbers.
        contender: its name.
        axis: what was swept.
        others: the other axes, which are the same in all points.
        values: of the axis, ascending, at least two.
        seconds: medians.
    """

    family: str
    contender: str
    axis: str
    others: dict[str, float]
    values: tuple[float, ...]
    seconds: tuple[float, ...]

    @property
    def exponent(self) -> float:
        """k of seconds = a value^k, least squares of the logarithms."""
        return float(np.polyfit(np.log(self.values), np.log(self.seconds), 1)[0])


def family(name: str) -> str:
    """``'encoder/base/480/1'`` -> ``'encoder/base'``: what groups of one sweep have in common."""
    return '/'.join(part for part in name.split('/') if not re.fullmatch(r'[\d.]+', part))


def find_series(groups: Sequence[dict]) -> list[Series]:
    """Every series of at least two values among groups of :func:`mmseg_textseg.benchmark.measure.measure`."""
    points = defaultdict(dict)
    for group in groups:
        for axis, value in group['axis'].items():
            others = tuple((key, other) for key, other in group['axis'].items() if key != axis)
            for contender, found in group['contenders'].items():
                # A size of zero has no logarithm.
                if value > 0:
                    key = family(group['name']), contender, axis, others
                    points[key][value] = Spread.of(found['seconds']).median
    series = []
    for (name, contender, axis, others), found in points.items():
        if len(found) > 1:
            values = tuple(sorted(found))
            series.append(Series(name, contender, axis, dict(others), values, tuple(found[v] for v in values)))
    return series
