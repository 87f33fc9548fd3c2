"""Metrics of runs: those of tools/test.py must come out of per_sample.csv as metrics.json has them."""

import numpy as np
import pytest
import torch

from mmseg_textseg.evaluation import TextSegMetric
from mmseg_textseg.evaluation.comparison import LeaderboardError, Options, compare, read_runs
from mmseg_textseg.evaluation.comparison.measures import find_measures

PROTOCOLS = ['lvit', 'two-class', 'pooled', 'ris', 'gres']


@pytest.fixture
def tested(tmp_path):
    """Function (seed, **options of TextSegMetric) -> a run that the metric wrote, empty masks among its items."""

    def test(seed, **options):
        rng = np.random.default_rng(seed)
        metric = TextSegMetric(protocol=PROTOCOLS, output_dir=str(tmp_path / str(seed)), **options)
        for i in range(40):
            truth = rng.random((9, 7)) < rng.choice([0, 0.1, 0.6])
            pred = (truth ^ (rng.random((9, 7)) < rng.choice([0, 0.02, 0.3]))) & (rng.random() < 0.9)
            metric.process(
                {},
                [
                    dict(
                        img_path=f'{i // 2}.png',
                        sample_id=f's{i}',
                        text='',
                        pred_sem_seg=dict(data=torch.tensor(pred[None])),
                        gt_sem_seg=dict(data=torch.tensor(truth[None].astype(np.uint8))),
                    )
                ],
            )
        return metric.compute_metrics(metric.results)

    return test


@pytest.mark.parametrize('options', [{}, dict(empty='skip'), dict(empty='zero', gres_min_pixels=3)])
def test_every_metric_of_every_protocol(tested, tmp_path, options):
    metrics = tested(0, **options)
    runs = read_runs([('a', tmp_path / '0')])
    assert len(metrics) > 20
    board = compare(runs, Options(metrics=tuple(metrics), resamples=100))
    assert [m.name for m in board.measures] == list(metrics)
    for name, value in metrics.items():
        interval = board.results[name]['a'].interval
        assert interval.value == pytest.approx(value, abs=1e-6), name
        assert interval.low < value < interval.high, name
    # No word of another value in metrics.json, and none without an interval.
    assert [remark for remark in board.remarks if 'have no value in any run' not in remark] == []


def test_pooled_values_are_drawn_by_their_pixels(tested, tmp_path):
    """The interval of a ratio of sums, drawn anew by hand from counts of the items."""
    tested(0)
    (run,) = read_runs([('a', tmp_path / '0')])
    board = compare([run], Options(metrics=('pooled_iou',), group='item', resamples=400, seed=3))
    interval = board.results['pooled_iou']['a'].interval
    items = run.items
    both = items['pixels'] + items['predicted_pixels']
    tp = (items['ris_iou'] * both / (1 + items['ris_iou'])).to_numpy()
    draws = np.random.default_rng(3).integers(0, 40, (400, 40))
    drawn = tp[draws].sum(1) / (both.to_numpy()[draws].sum(1) - tp[draws].sum(1))
    assert np.quantile(drawn, 0.0) < interval.low < np.quantile(drawn, 0.1)
    assert np.quantile(drawn, 0.9) < interval.high < np.quantile(drawn, 1.0)


def test_a_large_picture_has_its_pixels_to_the_last(load_runs):
    # 1200 x 1200: Dice has lost the pixels beyond its sixth decimal, but there are fewer than it can tell.
    tp, fp, fn, tn = 654_321, 12_345, 98_765, 674_569
    dice = round(2 * tp / (2 * tp + fp + fn), 6)
    pixels = dict(pixels=[tp + fn], predicted_pixels=[tp + fp], counted_pixels=[tp + fp + fn + tn])
    runs = load_runs(a=dict(dice=[dice], columns=pixels))
    (measure,), _ = find_measures(runs, ['pooled_dice'], [])
    np.testing.assert_array_equal(measure.terms(runs[0])[:, 0], [tp, fp, fn, tn])


def test_what_not_all_runs_have_is_left_out(load_runs):
    more = dict(dice=[0.5, 0.6], columns=dict(boundary_hd95_mm=[3.0, 4.0]))
    runs = load_runs(a=more, b=more, c=[0.5, 0.6])
    measures, remarks = find_measures(runs, ['boundary_hd95_mm', 'dice'], [])
    assert [m.name for m in measures] == ['dice']
    assert remarks == ['boundary_hd95_mm is left out: not in c']
    with pytest.raises(LeaderboardError, match='boundary_hd95_mm is left out: not in c'):
        find_measures(runs, ['boundary_hd95_mm'], [])


def test_a_value_of_the_whole_set_alone(load_runs):
    def summary(value):
        return dict(dice=[0.5, 0.6], summary=dict(protocols=dict(lvit=dict(dice=0.55), ours=dict(volume=value))))

    board = compare(
        load_runs(a=summary(0.25), b=summary(None)), Options(metrics=('dice', 'ours_volume'), resamples=100)
    )
    interval = board.results['ours_volume']['a'].interval
    assert (interval.value, interval.method) == (0.25, None)
    assert np.isnan(board.results['ours_volume']['b'].interval.value)
    assert 'ours_volume: a value of the whole set alone, so no interval and no test' in board.remarks
    assert 'ours_volume' not in board.comparisons


def test_scale_and_direction(load_runs):
    columns = dict(boundary_assd_px=[0.5, 0.2], volume=[1.5, 0.5], error=[0.1, 0.2])
    runs = load_runs(a=dict(dice=[0.5, 0.6], columns=columns))
    measures, _ = find_measures(runs, ['dice', *columns], ['error'])
    assert [(m.scale, m.lower) for m in measures] == [(100, False), (1, True), (1, False), (100, True)]


@pytest.mark.parametrize(
    ('metrics', 'lower', 'words'),
    [
        (['dise'], [], 'no run has dise; there are: dice, iou'),
        (['dice'], ['hd'], 'no run has hd; there are'),
        (['far'], [], 'far is infinite somewhere'),
    ],
)
def test_refused_metrics(load_runs, metrics, lower, words):
    runs = load_runs(a=dict(dice=[0.5, 0.6], columns=dict(far=['inf', '1'], case=['x', 'y'])))
    with pytest.raises(LeaderboardError, match=words) as error:
        find_measures(runs, metrics, lower)
    assert 'case' not in str(error.value)


def test_scores_of_several_meanings(load_runs):
    def run(**settings):
        pixels = dict(pixels=[4, 5], predicted_pixels=[4, 5], counted_pixels=[9, 9])
        return dict(dice=[0.5, 0.6], columns=pixels, summary=dict(settings=settings))

    def compared(*metrics, **runs):
        return compare(load_runs(**runs), Options(metrics=metrics, resamples=100))

    one = run(empty='one', gres_min_pixels=1, threshold=None)
    for other, metrics, words in (
        (run(empty='skip'), ['dice', 'pooled_dice'], "b was tested with empty='skip', a with empty='one', for dice\n"),
        (run(gres_min_pixels=5), ['dice', 'gres_ciou'], 'gres_min_pixels=5, a with gres_min_pixels=1, for gres_ciou\n'),
    ):
        with pytest.raises(LeaderboardError) as error:
            compared(*metrics, a=one, b=other)
        assert words in str(error.value)
    # What the metrics do not depend on, and what only one says.
    compared('pooled_dice', 'gres_ciou', a=one, b=run(empty='skip', ignore_index=255))
    compared('dice', a=one, b=run(gres_min_pixels=5))
    board = compared('dice', a=one, b=run(threshold=0.3))
    assert 'b was tested with threshold=0.3, a with threshold=None, for dice' in board.remarks
