"""Which items belong together: those of one image, or of one patient, are not independent of one another."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from .runs import LeaderboardError, Run


class Groups(NamedTuple):
    """Items put into groups.

    Attributes:
        codes: (items,), the number of each item's group, from 0.
        count: how many groups there are.
        noun: what one is called: ``'image'``.
    """

    codes: np.ndarray
    count: int
    noun: str


def find_groups(runs: Sequence[Run], group: str) -> Groups:
    """Group the items.

    Args:
        runs: aligned.
        group: ``'item'``: each alone; ``'image'`` or another column of per_sample.csv: those of one value;
            ``'COLUMN:REGEX'``: those in whose column the expression finds the same (its first bracket, or all of it).

    Raises:
        LeaderboardError: no such column; runs that disagree; an item without a group; no regular expression.
    """
    if group == 'item':
        return Groups(np.arange(len(runs[0].items)), len(runs[0].items), 'item')
    column, _, pattern = group.partition(':')
    first, *others = (_keys(run, column, pattern) for run in runs)
    for run, keys in zip(runs[1:], others, strict=True):
        if (keys != first).any():
            raise LeaderboardError(f'{run.name} and {runs[0].name} differ in {column!r}: it cannot group their items')
    codes, values = pd.factorize(first)
    return Groups(codes, len(values), 'group' if pattern else column)


def _keys(run: Run, column: str, pattern: str) -> pd.Series:
    if column not in run.items:
        raise LeaderboardError(
            f'{run.name} has no column {column!r} to group by; expected item, or one of {", ".join(run.items.columns)}'
        )
    values = run.items[column]
    keys = values.astype(str).where(values.notna(), '')
    if pattern:
        try:
            search = re.compile(pattern).search
        except re.error as error:
            raise LeaderboardError(f'--group {column}:{pattern} is no regular expression: {error}') from error
        found = keys.map(search)
        keys = found.map(lambda match: '' if match is None else match[min(1, match.re.groups)] or '')
    empty = keys == ''
    if empty.any():
        raise LeaderboardError(
            f'{run.name}: {empty.sum():,} items without a group by {column}{pattern and f":{pattern}"}, the first is '
            f'{empty.idxmax()!r} ({column} {values[empty.idxmax()]!r})'
        )
    return keys
