"""Contenders in turn: seconds, operations, memory."""

import gc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..apis.suite.costs import clock, count_flops
from .group import Group
from .memory import tensor_peak


@dataclass(frozen=True)
class Spread:
    """Median, quartiles and least of some values."""

    median: float
    low: float
    high: float
    least: float

    @classmethod
    def of(cls, values: Sequence[float]) -> 'Spread':
        """Of at least one value."""
        low, median, high = np.percentile(values, (25, 50, 75))
        return cls(float(median), float(low), float(high), float(min(values)))


def time_contenders(group: Group, repeats: int, warmup: int = 1) -> dict[str, list[float]]:
    """Seconds of each contender, all in turn, so that a busy moment meets all of them.

    Args:
        group: what is timed.
        repeats: rounds that count.
        warmup: rounds before, which do not.

    Returns:
        Contender -> seconds of each round. The order within a round turns with each, since caches are warm from
        whoever came before.
    """
    seconds = {name: [] for name in group.contenders}
    names = list(group.contenders)
    collecting = gc.isenabled()
    try:
        for number in range(-warmup, repeats):
            gc.collect()
            gc.disable()
            for name in names if number % 2 == 0 else names[::-1]:
                elapsed = clock(group.contenders[name])
                if number >= 0:
                    seconds[name].append(elapsed)
    finally:
        if collecting:
            gc.enable()
    return seconds


def ratio(seconds: dict[str, list[float]], reference: str, name: str) -> Spread:
    """How many times as fast as the reference a contender is: the spread of the rounds' ratios."""
    return Spread.of([r / c for r, c in zip(seconds[reference], seconds[name], strict=True)])


def measure(group: Group, repeats: int, warmup: int = 1) -> dict:
    """All that this process can tell of a group.

    Returns:
        ``name``, ``job``, ``reference``, ``axis``, and ``contenders``: name -> ``seconds`` of each round, ``flops`` and
        ``tensor_bytes`` of a call; those two are None where ``group.traced`` is off.
    """
    seconds = time_contenders(group, repeats, warmup)
    contenders = {}
    for name, call in group.contenders.items():
        found = contenders[name] = dict(seconds=seconds[name], flops=None, tensor_bytes=None)
        if group.traced:
            found['flops'] = count_flops(call).get_total_flops()
            found['tensor_bytes'] = tensor_peak(call)
    return dict(name=group.name, job=group.job, reference=group.reference, axis=group.axis, contenders=contenders)
