"""Several seeds as one run: hand-worked means."""

import math

import numpy as np
import pytest

from mmseg_textseg.evaluation.comparison import (
    LeaderboardError,
    Options,
    average_seeds,
    compare,
    group_seeds,
    read_runs,
)


@pytest.fixture
def seeds(tmp_path, write_run):
    """Function (dice of seed 0, dice of seed 1, ...; more of write_run) -> runs called lsms/seed0, lsms/seed1, ..."""

    def load(*dice, name='lsms', **more):
        found = []
        for number, scores in enumerate(dice):
            mine = {key: value[number] for key, value in more.items()}
            found.append((f'{name}/seed{number}', write_run(tmp_path / name / f'seed{number}', scores, **mine)))
        return read_runs(found)

    return load


def test_items_have_the_mean_of_their_scores(seeds):
    mean = average_seeds('lsms', seeds([0.2, 0.4, 1.0, 0.0], [0.6, 0.4, 0.0, 0.1]))
    assert mean.name == 'lsms'
    assert mean.items['dice'].tolist() == pytest.approx([0.4, 0.4, 0.5, 0.05])
    assert mean.items['expression'].tolist() == [f'lesion {i}' for i in range(4)]
    assert mean.totals['dice'] == pytest.approx((0.4 + 0.275) / 2)
    assert mean.summary['checkpoint'] == dict(path='seed0, seed1')


def test_the_order_of_the_items_does_not_matter(seeds):
    ids = [['a', 'b', 'c', 'd'], ['d', 'c', 'b', 'a']]
    more = dict(ids=ids, images=[['1', '1', '2', '2'], ['2', '2', '1', '1']], expressions=[list('wxyz'), list('zyxw')])
    mean = average_seeds('lsms', seeds([0.1, 0.2, 0.3, 0.4], [0.8, 0.6, 0.4, 0.2], **more))
    assert mean.items['dice'].to_dict() == pytest.approx(dict(a=0.15, b=0.3, c=0.45, d=0.6))


def test_a_score_that_one_seed_lacks_is_undefined(seeds):
    columns = [dict(hd95=[1.0, math.nan, 3.0, 4.0]), dict(hd95=[2.0, 2.0, 2.0, 2.0])]
    mean = average_seeds('lsms', seeds([0.5] * 4, [0.5] * 4, columns=columns))
    assert mean.items['hd95'].tolist() == pytest.approx([1.5, math.nan, 2.5, 3.0], nan_ok=True)


def test_pooled_metrics_are_means_of_the_seeds_own(seeds):
    columns = [dict(pixels=[10.0] * 4, predicted_pixels=[p] * 4, counted_pixels=[100.0] * 4) for p in (10.0, 30.0)]
    summary = [dict(protocols=dict(pooled=dict(dice=value), lvit=dict(dice=0.5))) for value in (0.5, 0.7)]
    mean = average_seeds('lsms', seeds([0.5] * 4, [0.5] * 4, columns=columns, summary=summary))
    assert 'predicted_pixels' not in mean.items
    board = compare([mean], Options(metrics=('dice', 'pooled_dice'), resamples=100))
    assert board.results['pooled_dice']['lsms'].interval.value == pytest.approx(0.6)
    assert 'pooled_dice: a value of the whole set alone, so no interval and no test' in board.remarks


def test_shares_above_a_threshold_are_means_of_shares(seeds):
    # Item 0: IoU 0.2 and 0.9: in one of two seeds above 0.5; of their mean, 0.55, it would be in both.
    columns = [dict(ris_iou=[0.2, 0.8, 0.1, 0.6]), dict(ris_iou=[0.9, 0.8, 0.1, 0.4])]
    summary = [dict(protocols=dict(lvit=dict(dice=0.5), ris=dict(p50=value))) for value in (0.5, 0.5)]
    mean = average_seeds('lsms', seeds([0.5] * 4, [0.5] * 4, columns=columns, summary=summary))
    board = compare([mean], Options(metrics=('ris_p50',), resamples=100))
    assert mean.items['ris_p50'].tolist() == [0.5, 1.0, 0.0, 0.5]
    assert board.results['ris_p50']['lsms'].interval.value == pytest.approx(0.5)
    assert not [remark for remark in board.remarks if 'ris_p50' in remark]


def test_rows_of_seeds_are_compared_by_their_means(seeds, scores):
    lsms = seeds(scores(0), scores(1), scores(2))
    unet = seeds(scores(3, -0.1), scores(4, -0.1), name='unet')
    board = compare(group_seeds([*lsms, *unet]), Options(metrics=('dice',), reference='unet', resamples=200))
    assert [run.name for run in board.runs] == ['lsms', 'unet']
    means = [np.mean([run.items['dice'].mean() for run in runs]) for runs in (lsms, unet)]
    assert board.results['dice']['lsms'].interval.value == pytest.approx(means[0])
    assert board.comparisons['dice']['lsms'].difference.value == pytest.approx(means[0] - means[1])
    assert board.comparisons['dice']['lsms'].stars == '***'


def test_one_seed_stays_as_it_is(seeds):
    (run,) = seeds([0.2, 0.4])
    mean = average_seeds('lsms', [run])
    assert (mean.name, mean.folder) == ('lsms', run.folder)
    assert mean.items.equals(run.items)


def test_runs_that_are_no_seeds_of_one_another(seeds, scores):
    with pytest.raises(LeaderboardError, match='no two runs are called NAME/seed0'):
        group_seeds([seeds(scores(0))[0], seeds(scores(1), name='unet')[0]])
    conditions = [dict(conditions=dict(shuffled_text=told)) for told in (False, True)]
    with pytest.raises(LeaderboardError, match='lsms/seed1 has other conditions than lsms/seed0'):
        average_seeds('lsms', seeds(scores(0), scores(1), summary=conditions))
    settings = [dict(settings=dict(threshold=value)) for value in (0.5, 0.4)]
    with pytest.raises(LeaderboardError, match='lsms/seed1 has other settings'):
        average_seeds('lsms', seeds(scores(0), scores(1), summary=settings))
    with pytest.raises(LeaderboardError, match='not on the same samples'):
        average_seeds('lsms', seeds(scores(0), scores(1)[:20]))
