"""Runs over the same samples compared: means with intervals, and tests against one of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from .alignment import align
from .groups import Groups, find_groups
from .measures import Measure, check_rules, find_measures
from .runs import SUMMARY, LeaderboardError, Run
from .significance import (
    MOST_BCA,
    Interval,
    Outcome,
    all_equal_tests,
    bootstrap_interval,
    correct,
    paired_tests,
    stars,
)

# With fewer, intervals come out too narrow and tests find little.
FEW_GROUPS = 10
# metrics.json is not rounded, per_sample.csv to six decimals.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Options:
    """How runs are compared; defaults are those of the command line.

    Attributes:
        metrics: the first one ranks.
        reference: name of the run that the others are compared with; None: the best by the first metric.
        group: what is drawn and tested as one, see :func:`.groups.find_groups`.
        test: whose p give the stars.
        correction: of :func:`.significance.correct`, over the comparisons of one metric.
        confidence, resamples, seed: of the intervals.
        lower: metrics that are good when small.
        other_text: sentences may differ between runs.
    """

    metrics: tuple[str, ...] = ('dice', 'iou')
    reference: str | None = None
    group: str = 'image'
    test: Literal['t-test', 'wilcoxon'] = 't-test'
    correction: str = 'holm'
    confidence: float = 0.95
    resamples: int = 9999
    seed: int = 0
    lower: tuple[str, ...] = ()
    other_text: bool = False


@dataclass(frozen=True)
class Result:
    """One run under one metric.

    Attributes:
        interval: mean over its items (or the ratio of its sums) with its interval.
        items: how many have a value.
        scores: a value a group that has one, the mean over its items; empty for pooled metrics.
    """

    interval: Interval
    items: int
    scores: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """A run against the reference under one metric, over the items where both have a value.

    Attributes:
        difference: run - reference, with its paired interval.
        t, wilcoxon: tests on the groups' values.
        t_corrected, wilcoxon_corrected: their p, corrected.
        p: that of the test that was chosen, corrected.
        groups: pairs of the tests.
        dropped: items that one of the two has no value for.
        remark: why a test has no answer.
    """

    difference: Interval
    t: Outcome
    wilcoxon: Outcome
    t_corrected: float
    wilcoxon_corrected: float
    p: float
    groups: int
    dropped: int
    remark: str

    @property
    def stars(self) -> str:
        """Of ``p``."""
        return stars(self.p)


class AllRuns(NamedTuple):
    """All runs at once under one metric: tests over ``groups`` values that every run has."""

    anova: Outcome
    friedman: Outcome
    runs: int
    groups: int


@dataclass(frozen=True)
class Leaderboard:
    """What :func:`compare` found.

    Attributes:
        runs: the best first.
        measures: metrics compared.
        reference: name of the run the others are compared with.
        results: by metric and run.
        comparisons: by metric and run, without the reference.
        all_runs: by metric; only where there are per-item values.
        groups, options: how.
        remarks: what a reader must know.
    """

    runs: list[Run]
    measures: list[Measure]
    reference: str
    results: dict[str, dict[str, Result]]
    comparisons: dict[str, dict[str, Comparison]]
    all_runs: dict[str, AllRuns]
    groups: Groups
    options: Options
    remarks: list[str]


def compare(runs: Sequence[Run], options: Options = Options()) -> Leaderboard:
    """Compare runs.

    Raises:
        LeaderboardError: other samples or rules, unknown names, nothing to compare.
    """
    names = [run.name for run in runs]
    if options.reference is not None and options.reference not in names:
        raise LeaderboardError(f'no run is called {options.reference!r}; runs: {", ".join(names)}')
    runs, remarks = align(runs, options.other_text)
    measures, more = find_measures(runs, options.metrics, options.lower)
    groups = find_groups(runs, options.group)
    remarks += more + check_rules(runs, measures)
    results = {m.name: {run.name: _result(m, run, groups, options) for run in runs} for m in measures}
    runs = _ranked(runs, measures[0], results[measures[0].name])
    reference = options.reference or runs[0].name
    tested = [m for m in measures if m.formula]
    comparisons = {m.name: _comparisons(m, runs, reference, groups, options) for m in tested}
    all_runs = {m.name: _all_runs(m, runs, groups) for m in tested if m.per_item}
    board = Leaderboard(runs, measures, reference, results, comparisons, all_runs, groups, options, remarks)
    return replace(board, remarks=remarks + _remarks(board))


def _sums(terms: np.ndarray, groups: Groups) -> tuple[np.ndarray, np.ndarray]:
    """(terms, items), NaN where an item has no value -> (terms, G); which groups have any value, (G,)."""
    there = ~np.isnan(terms).any(axis=0)
    codes = groups.codes[there]
    sums = np.stack([np.bincount(codes, term[there], groups.count) for term in terms])
    return sums, np.bincount(codes, minlength=groups.count) > 0


def _result(measure: Measure, run: Run, groups: Groups, options: Options) -> Result:
    if measure.formula is None:
        return Result(Interval(run.totals[measure.name]), len(run.items), np.zeros(0))
    terms = measure.terms(run)
    sums, there = _sums(terms, groups)
    interval = _interval(sums[:, there], measure.formula, options)
    scores = measure.formula(*sums[:, there]) if measure.per_item else np.zeros(0)
    return Result(interval, int((~np.isnan(terms).any(axis=0)).sum()), scores)


def _interval(sums: np.ndarray, formula: Callable[..., np.ndarray], options: Options) -> Interval:
    return bootstrap_interval(sums, formula, options.confidence, options.resamples, options.seed)


def _ranked(runs: Sequence[Run], measure: Measure, results: dict[str, Result]) -> list[Run]:
    """The best first; those without a value last."""

    def key(run: Run) -> float:
        value = results[run.name].interval.value
        return np.inf if np.isnan(value) else value if measure.lower else -value

    return sorted(runs, key=key)


def _comparisons(
    measure: Measure, runs: Sequence[Run], reference: str, groups: Groups, options: Options
) -> dict[str, Comparison]:
    base = measure.terms(next(run for run in runs if run.name == reference))
    found = {
        run.name: _pair(measure, measure.terms(run), base, groups, options) for run in runs if run.name != reference
    }
    t = correct([one['t'].p for one in found.values()], options.correction)
    wilcoxon = correct([one['wilcoxon'].p for one in found.values()], options.correction)
    chosen = t if options.test == 't-test' else wilcoxon
    return {
        name: Comparison(**found[name], t_corrected=a, wilcoxon_corrected=b, p=c)
        for name, a, b, c in zip(found, t, wilcoxon, chosen, strict=True)
    }


def _pair(measure: Measure, terms: np.ndarray, base: np.ndarray, groups: Groups, options: Options) -> dict:
    half = len(terms)
    both = np.concatenate([terms, base])
    dropped = int(np.isnan(both).any(axis=0).sum())
    sums, there = _sums(both, groups)
    sums = sums[:, there]

    def difference(*totals: np.ndarray) -> np.ndarray:
        return measure.formula(*totals[:half]) - measure.formula(*totals[half:])

    t, wilcoxon, remark = Outcome(), Outcome(), ''
    if measure.per_item:
        t, wilcoxon, remark = paired_tests(measure.formula(*sums[:half]), measure.formula(*sums[half:]))
    return dict(
        difference=_interval(sums, difference, options),
        t=t,
        wilcoxon=wilcoxon,
        groups=sums.shape[1],
        dropped=dropped,
        remark=remark,
    )


def _all_runs(measure: Measure, runs: Sequence[Run], groups: Groups) -> AllRuns:
    sums, there = _sums(np.concatenate([measure.terms(run) for run in runs]), groups)
    scores = [measure.formula(*terms) for terms in np.split(sums[:, there], len(runs))]
    return AllRuns(*all_equal_tests(scores), len(runs), len(scores[0]))


def _remarks(board: Leaderboard) -> list[str]:
    remarks = []
    for measure in board.measures:
        if measure.formula is None:
            continue
        results = board.results[measure.name]
        defined = {run.name: ~np.isnan(measure.terms(run)).any(axis=0) for run in board.runs}
        first = defined[board.runs[0].name]
        if all((there == first).all() for there in defined.values()):
            if not first.all():
                remarks.append(f'{measure.name}: {np.sum(~first):,} items have no value in any run')
        else:
            told = ', '.join(f'{name} {np.sum(~there):,}' for name, there in defined.items())
            remarks.append(
                f'{measure.name}: items without a value: {told}; each mean is over its own, the comparisons are over '
                'those that both have'
            )
        for run in board.runs:
            value, told = results[run.name].interval.value, run.totals.get(measure.name)
            if told is not None and not np.isclose(value, told, rtol=0, atol=TOLERANCE, equal_nan=True):
                remarks.append(f'{run.name}: {SUMMARY} says {measure.name} {told:.6f}, its items give {value:.6f}')
        found = [(name, result.interval) for name, result in results.items()]
        found += [(f'difference of {n}', c.difference) for n, c in board.comparisons[measure.name].items()]
        odd = [
            f'{name} ({one.method or "none"})' for name, one in found if one.method != 'BCa' and one.value == one.value
        ]
        if odd and 1 < board.groups.count <= MOST_BCA:
            remarks.append(f'{measure.name}: BCa has no answer, so another interval: {", ".join(odd)}')
    if board.groups.count < FEW_GROUPS:
        number = f'{board.groups.count} {board.groups.noun}{"s" if board.groups.count > 1 else ""}'
        remarks.append(f'only {number}: intervals are too narrow then, and tests find little')
    return remarks
