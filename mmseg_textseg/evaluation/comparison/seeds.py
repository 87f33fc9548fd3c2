"""Several trainings of one config as one run: each item has the mean of its scores."""

import re
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import pandas as pd

from .alignment import align
from .measures import SHARE
from .runs import TEXTS, LeaderboardError, Run

# Kept as they are, since they must be the same in all: of the truth alone.
TRUTH = ('pixels', 'counted_pixels')
SEED = re.compile(r'(.+)/seed\d+')


def average_seeds(name: str, runs: Sequence[Run]) -> Run:
    """The mean of runs that differ by their seed alone.

    An item's score is its mean over the runs, undefined where any run has none; a metric of the whole set is the mean
    of theirs. Pixels of the prediction are left out: a pooled metric worked out of means would be another metric.

    Args:
        name: of the mean.
        runs: at least one, over the same items.

    Raises:
        LeaderboardError: other items, sentences or conditions.
    """
    for run in runs[1:]:
        for what, mine, first in (
            ('conditions', run.conditions, runs[0].conditions),
            ('settings', run.settings, runs[0].settings),
        ):
            if mine != first:
                raise LeaderboardError(f'{run.name} has other {what} than {runs[0].name} ({mine}, {first}): not seeds')
    runs, _ = align(runs)
    if len(runs) == 1:
        return replace(runs[0], name=name)
    tables = [_with_shares(run) for run in runs]
    items = runs[0].items[list(TEXTS)].copy()
    for column in tables[0]:
        if column in TEXTS or column == 'predicted_pixels' or not all(column in table for table in tables):
            continue
        values = [table[column] for table in tables]
        # A column of words, as a case's name, is the same in all.
        numbers = column not in TRUTH and all(one.dtype == float for one in values)
        items[column] = sum(values[1:], values[0]) / len(values) if numbers else values[0]
    summary = dict(runs[0].summary, protocols=_mean_protocols([run.summary['protocols'] for run in runs]))
    summary['checkpoint'] = dict(path=', '.join(run.folder.name for run in runs))
    return Run(name, runs[0].folder.parent, items, summary)


def group_seeds(runs: Sequence[Run]) -> list[Run]:
    """Runs called ``NAME/seed<number>`` averaged as NAME; others stay.

    Raises:
        LeaderboardError: none is called so, or those of a name are not alike.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        found = SEED.fullmatch(run.name)
        groups.setdefault(found[1] if found else run.name, []).append(run)
    if len(groups) == len(runs):
        names = ', '.join(run.name for run in runs)
        raise LeaderboardError(f'no two runs are called NAME/seed0, NAME/seed1, ...; there are: {names}')
    return [average_seeds(name, found) if len(found) > 1 else found[0] for name, found in groups.items()]


def _with_shares(run: Run) -> pd.DataFrame:
    """With the columns whose threshold must come before the mean: Precision@X of ris_iou."""
    items = run.items
    if 'ris_iou' not in items:
        return items
    shares = {name: SHARE.fullmatch(name) for name in run.totals}
    scores = items['ris_iou']
    return items.assign(
        **{
            name: (scores >= int(found[1]) / 100).astype(float).where(scores.notna())
            for name, found in shares.items()
            if found
        }
    )


def _mean_protocols(protocols: Sequence[dict]) -> dict:
    """A value is undefined where it is in any run."""
    means: dict = {}
    for protocol, values in protocols[0].items():
        for name in values:
            found = [one.get(protocol, {}).get(name) for one in protocols]
            means.setdefault(protocol, {})[name] = None if None in found else fmean(found)
    return means
