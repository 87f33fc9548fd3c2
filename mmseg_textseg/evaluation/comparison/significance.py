"""Intervals and tests, all of scipy and statsmodels; here are only the cases in which they have no answer.

G: groups of items that are independent of one another.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests

NAN = float('nan')
# The jackknife of BCa takes G^2 steps, and with so many groups it corrects next to nothing.
MOST_BCA = 5000
STARS = ((0.001, '***'), (0.01, '**'), (0.05, '*'))
# Files carry six decimals: what is smaller is rounding, which would break ties and make constants vary.
DECIMALS = 9


class Interval(NamedTuple):
    """A value with its confidence interval; NaN where undefined. ``method``: ``'BCa'``, ``'percentile'`` or none."""

    value: float
    low: float = NAN
    high: float = NAN
    method: str | None = None


class Outcome(NamedTuple):
    """A test's statistic and p; NaN where undefined."""

    statistic: float = NAN
    p: float = NAN


def bootstrap_interval(
    sums: np.ndarray,
    formula: Callable[..., np.ndarray],
    confidence: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> Interval:
    """A value worked out of sums over groups, and its bootstrap interval: groups are drawn with all that is in them.

    BCa (Efron 1987, as in :func:`scipy.stats.bootstrap`); the percentile interval where BCa is degenerate (all values
    equal, for instance) or there are more than ``MOST_BCA`` groups.

    Args:
        sums: (terms, G), each group's share of each term.
        formula: totals of the terms, arrays of one shape -> value of that shape.
        confidence: 0 to 1.
        resamples: of the bootstrap.
        seed: of the draws; the same for all runs, so that they are drawn alike.
    """

    def statistic(*terms: np.ndarray, axis: int = -1) -> np.ndarray:
        return formula(*(term.sum(axis=axis) for term in terms))

    groups = sums.shape[1]
    if groups == 0:
        return Interval(NAN)
    with warnings.catch_warnings(), np.errstate(all='ignore'):
        warnings.simplefilter('ignore')  # of degenerate data, which is what the percentile interval is for
        value = float(statistic(*sums))
        if groups == 1 or np.isnan(value):
            return Interval(value)
        method = 'BCa' if groups <= MOST_BCA else 'percentile'
        common = dict(paired=True, axis=-1, vectorized=True, confidence_level=confidence)
        drawn = stats.bootstrap(
            tuple(sums),
            statistic,
            method=method,
            n_resamples=resamples,
            batch=max(1, 2_000_000 // groups),
            rng=np.random.default_rng(seed),
            **common,
        )
        low, high = drawn.confidence_interval
        if np.isnan([low, high]).any() and method == 'BCa':
            method = 'percentile'
            again = stats.bootstrap(
                tuple(sums), statistic, method=method, n_resamples=0, bootstrap_result=drawn, **common
            )
            low, high = again.confidence_interval
    if np.isnan([low, high]).any():
        return Interval(value)
    return Interval(value, float(low), float(high), method)


def paired_tests(scores: np.ndarray, reference: np.ndarray) -> tuple[Outcome, Outcome, str]:
    """Paired t-test and Wilcoxon signed-rank test, two-sided.

    Args:
        scores: (G,), a value a group.
        reference: (G,), those of the run compared with.

    Returns:
        The t-test; Wilcoxon's; a remark where one of them has no answer.
    """
    difference = np.round(scores - reference, DECIMALS)
    if len(difference) < 2:
        return Outcome(), Outcome(), 'one pair: no test' if len(difference) else 'no pair: no test'
    if not difference.any():
        # Both statistics are 0 / 0 or 0 here; nothing speaks for a difference.
        return Outcome(0.0, 1.0), Outcome(0.0, 1.0), 'no difference in any pair'
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # small samples
        ranks = stats.wilcoxon(difference)
    wilcoxon = Outcome(float(ranks.statistic), float(ranks.pvalue))
    if np.ptp(difference) == 0:
        return Outcome(), wilcoxon, 'the same difference in every pair: no t-test'
    t = stats.ttest_rel(scores, reference)
    return Outcome(float(t.statistic), float(t.pvalue)), wilcoxon, ''


def all_equal_tests(scores: Sequence[np.ndarray]) -> tuple[Outcome, Outcome]:
    """Whether all runs are alike: one-way ANOVA, and Friedman's test, which knows that the values are paired.

    Args:
        scores: of each run, (G,), a value a group, in the same order.

    Returns:
        ANOVA (F), from two runs of two groups on; Friedman (chi squared), from three runs on; else NaN.
    """
    runs, groups = len(scores), len(scores[0])
    if runs < 2 or groups < 2:
        return Outcome(), Outcome()
    with warnings.catch_warnings(), np.errstate(all='ignore'):
        warnings.simplefilter('ignore')
        anova = stats.f_oneway(*scores)
        friedman = stats.friedmanchisquare(*np.round(scores, DECIMALS)) if runs > 2 else Outcome()
    return _finite(*anova), _finite(*friedman)


def _finite(statistic: float, p: float) -> Outcome:
    return Outcome(float(statistic), float(p)) if np.isfinite([statistic, p]).all() else Outcome()


def correct(p_values: Sequence[float], method: str) -> list[float]:
    """Correct for several comparisons; undefined p stay undefined and do not count as one.

    Args:
        p_values: NaN = undefined.
        method: of :func:`statsmodels.stats.multitest.multipletests`, or ``'none'``.
    """
    corrected = np.array(p_values, float)
    there = ~np.isnan(corrected)
    if method != 'none' and there.any():
        corrected[there] = multipletests(corrected[there], method=method)[1]
    return corrected.tolist()


def stars(p: float) -> str:
    """MPTPN's stars (caption of Fig. 12): * p < .05, ** p < .01, *** p < .001; none where p is undefined."""
    return next((mark for limit, mark in STARS if p < limit), '')
