"""A leaderboard for programs: json, and a csv with a row a run. Fractions of 1, p as they are."""

import csv
import math
from dataclasses import asdict
from typing import IO

import numpy
import scipy
import statsmodels

from .alignment import describe
from .leaderboard import Comparison, Leaderboard, Result

FORMAT = 1
# Of metrics.json.
KEPT = ('config', 'checkpoint', 'conditions')


def as_json(board: Leaderboard) -> dict:
    """All of it, JSON types, null where undefined. ``format`` changes when a key changes its meaning."""
    results = [
        dict(run=run.name, metric=m.name, **_result(board.results[m.name][run.name]))
        for m in board.measures
        for run in board.runs
    ]
    comparisons = [
        dict(run=name, metric=metric, reference=board.reference, **_comparison(one))
        for metric, found in board.comparisons.items()
        for name, one in found.items()
    ]
    all_runs = [
        dict(
            metric=metric,
            runs=found.runs,
            groups=found.groups,
            anova_f=found.anova.statistic,
            anova_p=found.anova.p,
            friedman_chi2=found.friedman.statistic,
            friedman_p=found.friedman.p,
        )
        for metric, found in board.all_runs.items()
    ]
    return _json(
        dict(
            format=FORMAT,
            reference=board.reference,
            metrics=[dict(name=m.name, percent=m.scale == 100, lower_is_better=m.lower) for m in board.measures],
            items=len(board.runs[0].items),
            groups=board.groups.count,
            options=asdict(board.options),
            runs=[
                dict(name=run.name, folder=str(run.folder), **{key: run.summary.get(key) for key in KEPT})
                for run in board.runs
            ],
            results=results,
            comparisons=comparisons,
            all_runs=all_runs,
            remarks=board.remarks,
            versions={module.__name__: module.__version__ for module in (numpy, scipy, statsmodels)},
        )
    )


def write_csv(board: Leaderboard, file: IO[str]) -> None:
    """A row a run, the best first; columns of a metric begin with its name. Empty = undefined, or the reference."""
    rows = []
    for run in board.runs:
        row = dict(run=run.name, conditions=describe(run), reference=board.reference)
        for m in board.measures:
            result = _result(board.results[m.name][run.name])
            row[m.name] = result.pop('value')
            pair = board.comparisons.get(m.name, {}).get(run.name)
            more = _comparison(pair) if pair else {}
            row.update({f'{m.name}_{key}': value for key, value in (result | more).items()})
        rows.append({key: '' if value != value else value for key, value in row.items()})
    # The reference's row lacks the comparison's columns, and it may stand anywhere.
    writer = csv.DictWriter(file, max(rows, key=len), restval='')
    writer.writeheader()
    writer.writerows(rows)


def _result(result: Result) -> dict:
    interval = result.interval
    return dict(
        value=interval.value, low=interval.low, high=interval.high, interval=interval.method, items=result.items
    )


def _comparison(one: Comparison) -> dict:
    return dict(
        difference=one.difference.value,
        difference_low=one.difference.low,
        difference_high=one.difference.high,
        difference_interval=one.difference.method,
        t=one.t.statistic,
        t_p=one.t.p,
        t_p_corrected=one.t_corrected,
        wilcoxon=one.wilcoxon.statistic,
        wilcoxon_p=one.wilcoxon.p,
        wilcoxon_p_corrected=one.wilcoxon_corrected,
        stars=one.stars,
        pairs=one.groups,
        dropped_items=one.dropped,
        remark=one.remark,
    )


def _json(value: object) -> object:
    """With None for NaN, which json has not."""
    if isinstance(value, dict):
        return {key: _json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_json(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
