"""Intervals and tests against scipy, statsmodels, and values worked out by hand."""

import warnings

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mmseg_textseg.evaluation.comparison import significance
from mmseg_textseg.evaluation.comparison.significance import (
    all_equal_tests,
    bootstrap_interval,
    correct,
    paired_tests,
    stars,
)


@pytest.fixture(autouse=True)
def _no_warnings():
    """Degenerate data must not spill warnings over the table."""
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        yield


def sums_of(values):
    """A mean as sums: each value, and a one."""
    return np.stack([values, np.ones(len(values))])


@pytest.mark.parametrize('confidence', [0.9, 0.95])
def test_interval_of_a_mean_is_scipys(confidence):
    values = np.random.default_rng(3).beta(5, 2, 31)
    found = bootstrap_interval(sums_of(values), np.divide, confidence, resamples=2000, seed=5)
    told = stats.bootstrap(
        (values,), np.mean, confidence_level=confidence, n_resamples=2000, method='BCa', rng=np.random.default_rng(5)
    ).confidence_interval
    assert found.method == 'BCa'
    np.testing.assert_allclose(found[:3], [values.mean(), *told], rtol=1e-12)
    # BCa leans towards the longer tail of a skewed sample, here the low one.
    plain = stats.bootstrap((values,), np.mean, confidence_level=confidence, n_resamples=2000, method='percentile')
    assert found.low != pytest.approx(plain.confidence_interval.low, abs=1e-6)


def test_interval_of_a_ratio_draws_numerator_and_denominator_together():
    rng = np.random.default_rng(0)
    over, under = rng.uniform(1, 5, 20), rng.uniform(5, 9, 20)
    found = bootstrap_interval(np.stack([over, under]), np.divide, resamples=1500, seed=1)
    draws = np.random.default_rng(1).integers(0, 20, (1500, 20))
    ratios = over[draws].sum(1) / under[draws].sum(1)
    told = stats.bootstrap(
        (over, under),
        lambda a, b, axis: a.sum(axis) / b.sum(axis),
        paired=True,
        n_resamples=1500,
        rng=np.random.default_rng(1),
    ).confidence_interval
    np.testing.assert_allclose(found[:3], [over.sum() / under.sum(), *told], rtol=1e-12)
    assert np.quantile(ratios, 0.01) < found.low < np.quantile(ratios, 0.05)


def test_the_same_seed_gives_the_same_interval():
    sums = sums_of(np.random.default_rng(0).random(12))
    first, again, other = (bootstrap_interval(sums, np.divide, resamples=500, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


def test_large_sets_are_drawn_in_parts_and_by_percentile(monkeypatch):
    values = np.random.default_rng(0).random(300)
    monkeypatch.setattr(significance, 'MOST_BCA', 299)
    found = bootstrap_interval(sums_of(values), np.divide, resamples=8000)
    told = stats.bootstrap(
        (values,), np.mean, n_resamples=8000, method='percentile', rng=np.random.default_rng(0)
    ).confidence_interval
    assert found.method == 'percentile'
    np.testing.assert_allclose(found[1:3], told, rtol=1e-12)


@pytest.mark.parametrize(
    ('values', 'expected', 'method'),
    [
        ([0.5] * 6, (0.5, 0.5, 0.5), 'percentile'),
        ([0.0] * 6, (0.0, 0.0, 0.0), 'percentile'),
        ([0.7], (0.7, np.nan, np.nan), None),
        ([], (np.nan, np.nan, np.nan), None),
    ],
)
def test_intervals_that_bca_has_not(values, expected, method):
    found = bootstrap_interval(sums_of(np.array(values)), np.divide, resamples=200)
    np.testing.assert_array_equal(found[:3], expected)
    assert found.method == method


def test_a_ratio_that_some_draws_leave_undefined_has_no_interval():
    found = bootstrap_interval(np.array([[1.0, 0, 0], [2.0, 0, 0]]), np.divide, resamples=200)
    assert found.value == 0.5
    assert found.method is None


def test_paired_tests_are_scipys():
    rng = np.random.default_rng(2)
    scores, reference = rng.random(25).round(6), rng.random(25).round(6)
    t, wilcoxon, remark = paired_tests(scores, reference)
    np.testing.assert_allclose(t, stats.ttest_rel(scores, reference)[:2], rtol=1e-12)
    np.testing.assert_allclose(wilcoxon, stats.wilcoxon(scores, reference)[:2], rtol=1e-12)
    assert remark == ''


def test_paired_tests_by_hand():
    # d = 0.1, 0.2, 0.3: t = 0.2 / (0.1 / sqrt 3); with two degrees of freedom p = 1 - t / sqrt(t^2 + 2).
    t, wilcoxon, _ = paired_tests(np.array([0.6, 0.8, 1.0]), np.array([0.5, 0.6, 0.7]))
    assert t.statistic == pytest.approx(12**0.5)
    assert t.p == pytest.approx(1 - 12**0.5 / 14**0.5)
    assert tuple(wilcoxon) == (0, 0.25)  # of 2^3 choices of signs one is all negative, one all positive
    # d = 1, 2, 3, 4, -5: W = 5; 10 of the 2^5 sets of ranks have a sum of 5 or less.
    _, wilcoxon, _ = paired_tests(np.array([0.6, 0.7, 0.8, 0.9, 0.0]), np.array([0.5, 0.5, 0.5, 0.5, 0.5]))
    assert tuple(wilcoxon) == (5, 0.625)


def test_wilcoxon_sees_ties_through_rounding():
    # 0.3 - 0.2, 0.8 - 0.7 and 0.2 - 0.1 differ in their last bits; by ranks they are one.
    scores, reference = np.array([0.3, 0.8, 0.1, 0.9, 0.4]), np.array([0.2, 0.7, 0.2, 0.6, 0.2])
    assert len(set(np.abs(scores - reference)[:3])) == 3
    _, wilcoxon, _ = paired_tests(scores, reference)
    assert wilcoxon.statistic == 2  # ranks 2, 2, 2, 5, 4
    told = stats.wilcoxon([1.0, 1.0, -1.0, 3.0, 2.0])
    assert wilcoxon.p == pytest.approx(told.pvalue)


def test_paired_tests_without_an_answer():
    same = np.array([0.2, 0.4, 0.9])
    assert paired_tests(same, same) == ((0, 1), (0, 1), 'no difference in any pair')
    for size, words in ((1, 'one pair: no test'), (0, 'no pair: no test')):
        t, wilcoxon, remark = paired_tests(np.full(size, 0.5), np.full(size, 0.6))
        assert np.isnan([*t, *wilcoxon]).all()
        assert remark == words
    # Equal but for rounding: scipy's t is 10^15 there, and its p 10^-32.
    t, wilcoxon, remark = paired_tests(np.array([0.1, 0.2, 0.3, 0.7]), np.array([0.2, 0.3, 0.4, 0.8]))
    assert np.isnan(t).all()
    assert wilcoxon.p == 0.125
    assert remark == 'the same difference in every pair: no t-test'


def test_tests_of_all_runs_are_scipys():
    scores = np.random.default_rng(1).random((4, 15)).round(6)
    anova, friedman = all_equal_tests(list(scores))
    np.testing.assert_allclose(anova, stats.f_oneway(*scores)[:2], rtol=1e-12)
    np.testing.assert_allclose(friedman, stats.friedmanchisquare(*scores)[:2], rtol=1e-12)


def test_tests_of_all_runs_by_hand():
    # Means .2, .3, .6: between the groups .26 by 2 degrees of freedom, within them .06 by 6. Ranks 1, 2, 3 in each row.
    scores = [np.array(row) / 10 for row in ([1, 2, 3], [2, 3, 4], [5, 6, 7])]
    anova, friedman = all_equal_tests(scores)
    assert anova.statistic == pytest.approx(13)
    assert anova.p == pytest.approx((1 + 2 * 13 / 6) ** -3)  # F with 2 and 6 degrees of freedom
    assert friedman.statistic == pytest.approx(6)
    assert friedman.p == pytest.approx(np.exp(-3))  # chi-squared with 2 degrees of freedom


def test_tests_of_all_runs_without_an_answer():
    some = np.array([0.1, 0.5])
    for scores in ([some], [np.array([0.5])] * 3, [np.full(4, 0.2), np.full(4, 0.3), np.full(4, 0.4)]):
        assert np.isnan(all_equal_tests(scores)[0]).all()
    anova, friedman = all_equal_tests([some, some + 0.1])
    assert anova.p == pytest.approx(stats.f_oneway(some, some + 0.1).pvalue)
    assert np.isnan(friedman).all()
    anova, friedman = all_equal_tests([some] * 3)
    assert tuple(anova) == (0, 1)
    assert np.isnan(friedman).all()


def test_correction():
    # Holm: 3 x .01, 2 x .03, and not less than the one before.
    assert correct([0.01, 0.04, 0.03], 'holm') == pytest.approx([0.03, 0.06, 0.06])
    p = [0.001, 0.2, 0.03, 0.04]
    for method in ('bonferroni', 'fdr_bh', 'hommel'):
        np.testing.assert_allclose(correct(p, method), multipletests(p, method=method)[1])
    assert correct(p, 'none') == p
    # An undefined p is no comparison: two remain.
    np.testing.assert_allclose(correct([0.01, np.nan, 0.03], 'holm'), [0.02, np.nan, 0.03])
    np.testing.assert_array_equal(correct([np.nan], 'holm'), [np.nan])
    assert correct([], 'holm') == []


@pytest.mark.parametrize(
    ('p', 'expected'),
    [
        (0.05, ''),
        (0.0499, '*'),
        (0.01, '*'),
        (0.0099, '**'),
        (0.001, '**'),
        (0.00099, '***'),
        (0.0, '***'),
        (np.nan, ''),
    ],
)
def test_stars(p, expected):
    assert stars(p) == expected
