"""Runs compared: groups, ranking, reference, pairs."""

import numpy as np
import pytest
from scipy import stats

from mmseg_textseg.evaluation.comparison import LeaderboardError, Options, compare

FAST = dict(resamples=300)


def board_of(runs, **options):
    return compare(runs, Options(**{**FAST, **options}))


def by_image(values):
    """Means of neighbours: the images of conftest's runs."""
    return np.asarray(values).reshape(-1, 2).mean(1)


def test_ranking_reference_and_differences(load_runs, scores):
    low, high, middle = scores(1, -0.1), scores(2, 0.1), scores(3)
    board = board_of(load_runs(low=low, high=high, middle=middle))
    assert [run.name for run in board.runs] == ['high', 'middle', 'low']
    assert board.reference == 'high'
    assert list(board.comparisons['dice']) == ['middle', 'low']
    assert board.results['dice']['low'].interval.value == pytest.approx(low.mean(), abs=1e-9)
    assert board.comparisons['dice']['low'].difference.value == pytest.approx(low.mean() - high.mean(), abs=1e-9)
    named = board_of(load_runs(low=low, high=high, middle=middle), reference='low')
    assert list(named.comparisons['dice']) == ['high', 'middle']
    assert named.comparisons['dice']['high'].difference.value == pytest.approx(high.mean() - low.mean(), abs=1e-9)


def test_the_first_metric_ranks_and_small_may_be_good(load_runs):
    runs = load_runs(
        none=dict(dice=[0.5, 0.6, 0.5, 0.6], columns=dict(boundary_hd95_mm=[np.nan] * 4)),
        near=dict(dice=[0.1, 0.2, 0.1, 0.2], columns=dict(boundary_hd95_mm=[1, 2, 3, 4])),
        far=dict(dice=[0.8, 0.9, 0.8, 0.9], columns=dict(boundary_hd95_mm=[5, 6, 7, 9])),
    )
    assert [run.name for run in board_of(runs, metrics=('dice', 'boundary_hd95_mm')).runs] == ['far', 'none', 'near']
    assert [run.name for run in board_of(runs, metrics=('boundary_hd95_mm', 'dice')).runs] == ['near', 'far', 'none']


def test_tests_are_on_means_of_images(load_runs, scores):
    a, b, c = scores(1), scores(2, -0.02), scores(3, -0.01)
    board = board_of(load_runs(a=a, b=b, c=c), reference='a')
    for name, values in (('b', b), ('c', c)):
        found = board.comparisons['dice'][name]
        np.testing.assert_allclose(found.t, stats.ttest_rel(by_image(values), by_image(a))[:2], rtol=1e-6)
        np.testing.assert_allclose(found.wilcoxon, stats.wilcoxon(by_image(values) - by_image(a))[:2], rtol=1e-6)
        assert found.groups == 12
    told = stats.f_oneway(*map(by_image, (a, b, c)))
    np.testing.assert_allclose(board.all_runs['dice'].anova, told[:2], rtol=1e-6)
    told = stats.friedmanchisquare(*map(by_image, (a, b, c)))
    np.testing.assert_allclose(board.all_runs['dice'].friedman, told[:2], rtol=1e-6)
    alone = board_of(load_runs(a=a, b=b, c=c), reference='a', group='item')
    np.testing.assert_allclose(alone.comparisons['dice']['b'].t, stats.ttest_rel(b, a)[:2], rtol=1e-6)
    assert alone.comparisons['dice']['b'].groups == 24


def test_copies_of_an_image_say_nothing_new(load_runs, scores):
    """Five equal sentences an image: by image, all is as with one; by item, the interval is too narrow."""
    a, b = scores(1, items=15), scores(2, -0.02, items=15)
    once = [f'{i}.png' for i in range(15)]
    single = board_of(load_runs(a=dict(dice=a, images=once), b=dict(dice=b, images=once)))
    five = [name for name in once for _ in range(5)]
    runs = load_runs(a=dict(dice=np.repeat(a, 5), images=five), b=dict(dice=np.repeat(b, 5), images=five))
    many = board_of(runs)
    for found, told in (
        (many.results['dice']['a'].interval, single.results['dice']['a'].interval),
        (many.comparisons['dice']['b'].difference, single.comparisons['dice']['b'].difference),
        (many.comparisons['dice']['b'].t, single.comparisons['dice']['b'].t),
    ):
        np.testing.assert_allclose(found[:2], told[:2], rtol=1e-9)
    narrow = board_of(runs, group='item').results['dice']['a'].interval
    wide = many.results['dice']['a'].interval
    assert (narrow.high - narrow.low) * 2 < wide.high - wide.low


def test_means_weigh_items_and_draws_keep_images_whole(load_runs):
    dice, images = [0.2, 0.4, 0.9, 0.9, 0.9, 0.9], ['a', 'b', 'c', 'c', 'c', 'c']
    (run,) = load_runs(a=dict(dice=dice, images=images))
    interval = board_of([run], seed=4).results['dice']['a'].interval
    assert interval.value == pytest.approx(np.mean(dice))
    sums, sizes = np.array([0.2, 0.4, 3.6]), np.array([1, 1, 4])
    told = stats.bootstrap(
        (sums, sizes),
        lambda s, n, axis: s.sum(axis) / n.sum(axis),
        paired=True,
        n_resamples=300,
        rng=np.random.default_rng(4),
    ).confidence_interval
    np.testing.assert_allclose(interval[1:3], told, rtol=1e-9)


def test_undefined_items(load_runs, scores):
    a, b, c = scores(1), scores(2, -0.02), scores(3, -0.04)
    a[[0, 1]] = np.nan  # all of the first image
    b[[1, 5]] = np.nan
    board = board_of(load_runs(a=a, b=b, c=c), reference='a')
    assert [board.results['dice'][name].items for name in 'abc'] == [22, 22, 24]
    assert board.results['dice']['b'].interval.value == pytest.approx(np.nanmean(b), abs=1e-9)
    found = board.comparisons['dice']['b']
    assert (found.dropped, found.groups) == (3, 11)
    both = ~np.isnan(a) & ~np.isnan(b)
    pairs = [np.nanmean(np.where(both, x, np.nan).reshape(-1, 2)[1:], axis=1) for x in (b, a)]
    np.testing.assert_allclose(found.t, stats.ttest_rel(*pairs)[:2], rtol=1e-6)
    assert found.difference.value == pytest.approx((b - a)[both].mean(), abs=1e-9)
    assert (
        'dice: items without a value: a 2, b 2, c 0; each mean is over its own, the comparisons are over those that '
        'both have'
    ) in board.remarks
    assert board.all_runs['dice'].groups == 11


def test_items_without_a_value_in_any_run(load_runs, scores):
    a, b = scores(1), scores(2)
    a[3] = b[3] = np.nan
    assert 'dice: 1 items have no value in any run' in board_of(load_runs(a=a, b=b)).remarks


def test_stars_are_of_the_chosen_test_after_correction(load_runs, scores):
    runs = dict(a=scores(1, 0.02), b=scores(2), c=scores(3, -0.004), d=scores(4, -0.06))
    board = board_of(load_runs(**runs))
    found = list(board.comparisons['dice'].values())
    raw = [one.t.p for one in found]
    order = np.argsort(raw)
    holm = np.minimum(np.maximum.accumulate(np.sort(raw) * [3, 2, 1]), 1)
    np.testing.assert_allclose(np.array([one.t_corrected for one in found])[order], holm)
    for options, key in ((dict(), 't_corrected'), (dict(test='wilcoxon'), 'wilcoxon_corrected')):
        for one in board_of(load_runs(**runs), **options).comparisons['dice'].values():
            p = getattr(one, key)
            assert one.stars == '*' * sum(p < limit for limit in (0.05, 0.01, 0.001))
    plain = board_of(load_runs(**runs), correction='none').comparisons['dice'].values()
    assert [one.t_corrected for one in plain] == raw
    assert [one.stars for one in found] != [one.stars for one in plain]


def test_identical_runs(load_runs, scores):
    board = board_of(load_runs(a=scores(1), twin=scores(1), other=scores(2, -0.1)))
    twin = board.comparisons['dice']['twin']
    assert twin.difference[:3] == (0, 0, 0)
    assert (twin.t.p, twin.wilcoxon.p, twin.stars) == (1, 1, '')
    assert twin.remark == 'no difference in any pair'
    assert any('BCa has no answer' in one and 'difference of twin (percentile)' in one for one in board.remarks)


def test_one_item(load_runs):
    board = board_of(load_runs(a=[0.5], b=[0.4]))
    found = board.comparisons['dice']['b']
    assert found.remark == 'one pair: no test'
    assert np.isnan([found.t.p, found.t_corrected, found.difference.low]).all()
    assert found.difference.value == pytest.approx(-0.1)
    assert any(one.startswith('only 1 image: ') for one in board.remarks)


def test_few_groups_are_remarked(load_runs, scores):
    assert any(one.startswith('only 9 images') for one in board_of(load_runs(a=scores(1, items=18))).remarks)
    assert board_of(load_runs(a=scores(1, items=20))).remarks == []


def test_one_run(load_runs, scores):
    board = board_of(load_runs(a=scores(1)))
    assert board.comparisons == dict(dice={}, iou={})
    assert board.results['dice']['a'].interval.low > 0


def test_a_metrics_json_that_disagrees(load_runs, scores):
    a = scores(1)
    wrong = dict(dice=a, summary=dict(protocols=dict(lvit=dict(dice=0.9))))
    board = board_of(load_runs(a=a, b=wrong))
    assert f'b: metrics.json says dice 0.900000, its items give {a.mean():.6f}' in board.remarks
    assert not any(one.startswith('a: metrics.json') for one in board.remarks)


def test_unknown_reference(load_runs, scores):
    with pytest.raises(LeaderboardError, match="no run is called 'best'; runs: a, b"):
        board_of(load_runs(a=scores(1), b=scores(2)), reference='best')
