"""Measures of overlap: what holds for any masks, in any order and however the set is cut into batches."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from steady import STEADY

from mmseg_textseg.evaluation import TextSegMetric
from mmseg_textseg.evaluation.boundaries import boundary_iou, inner_band, surface_distances
from mmseg_textseg.evaluation.overlap import (
    Counts,
    accuracy,
    count,
    dice,
    foreground_probability,
    iou,
    mean_iou,
    pool,
    precision,
    recall,
)

SCORES = (dice, iou, accuracy, mean_iou, precision, recall)
SIZES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)
COUNTS = st.builds(Counts, *[st.integers(0, 50)] * 4)
BOTH = SIZES.flatmap(lambda size: st.tuples(*[hnp.arrays(bool, size)] * 2))


@st.composite
def labelled(draw, labels=(0, 1, 255)):
    """Prediction and truth of one size, with ignored pixels."""
    size = draw(SIZES)
    pred = draw(hnp.arrays(np.int64, size, elements=st.integers(0, 1)))
    return torch.from_numpy(pred), torch.from_numpy(draw(hnp.arrays(np.int64, size, elements=st.sampled_from(labels))))


@STEADY
@given(masks=labelled(), empty=st.sampled_from([0.0, 1.0]))
def test_scores_are_fractions_and_dice_and_iou_tell_the_same(masks, empty):
    counts = count(*masks)
    assert sum(counts) == int((masks[1] != 255).sum())
    assert all(0 <= score(counts, empty) <= 1 for score in SCORES)
    one, other = dice(counts, empty), iou(counts, empty)
    assert one == pytest.approx(2 * other / (1 + other))
    if counts.tp:
        assert one == pytest.approx(2 / (1 / precision(counts) + 1 / recall(counts)))


@STEADY
@given(masks=labelled(labels=(0, 1)))
def test_prediction_and_truth_change_places(masks):
    there, back = count(*masks), count(*masks[::-1])
    assert there == (back.tp, back.fn, back.fp, back.tn)
    assert [score(there) for score in (dice, iou, accuracy, mean_iou)] == [
        score(back) for score in (dice, iou, accuracy, mean_iou)
    ]
    assert precision(there, 0.5) == recall(back, 0.5)


@STEADY
@given(masks=labelled())
def test_a_perfect_mask_is_the_best_and_one_wrong_pixel_is_worse(masks):
    _, truth = masks
    perfect = (truth == 1).long()
    assert all(score(count(perfect, truth)) == 1 for score in SCORES if (truth != 255).any())
    places = (truth != 255).nonzero()
    if len(places):
        perfect[tuple(places[0])] ^= 1
        assert all(score(count(perfect, truth)) < 1 for score in (dice, iou, accuracy, mean_iou))


@STEADY
@given(masks=labelled(), seed=st.integers(0, 9))
def test_pixels_may_be_permuted_and_ignored_ones_have_no_say(masks, seed):
    pred, truth = masks
    expected = count(pred, truth)
    order = torch.randperm(pred.numel(), generator=torch.Generator().manual_seed(seed))
    assert count(pred.flatten()[order][None], truth.flatten()[order][None]) == expected
    assert count(torch.where(truth == 255, 1 - pred, pred), truth) == expected


@STEADY
@given(parts=st.lists(COUNTS, max_size=8), cut=st.integers(0, 8))
def test_pooling_takes_any_parts_in_any_order(parts, cut):
    assert pool(parts[::-1]) == pool(parts) == pool([pool(parts[:cut]), pool(parts[cut:])])


@STEADY
@given(items=st.lists(COUNTS.filter(lambda c: not c.empty), min_size=1, max_size=6))
def test_the_pooled_score_lies_between_the_items(items):
    """A mediant of the items' fractions."""
    for score in (dice, iou):
        values = [score(item) for item in items]
        assert min(values) - 1e-12 <= score(pool(items)) <= max(values) + 1e-12


@STEADY
@given(masks=BOTH, spacing=st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)), factor=st.floats(0.5, 4))
def test_distances_are_symmetric_zero_for_the_same_and_scale(masks, spacing, factor):
    there, back = surface_distances(*masks, spacing), surface_distances(*masks[::-1], spacing)
    np.testing.assert_allclose(there, back, equal_nan=True)
    if math.isnan(there.hd95):
        assert not (masks[0].any() and masks[1].any())
        return
    diagonal = math.hypot(*(s * (n - 1) for s, n in zip(spacing, masks[0].shape, strict=True)))
    assert 0 <= there.assd <= diagonal + 1e-6
    assert 0 <= there.hd95 <= diagonal + 1e-6
    assert surface_distances(masks[0], masks[0], spacing) == (0, 0)
    scaled = surface_distances(*masks, tuple(factor * s for s in spacing))
    np.testing.assert_allclose(scaled, np.multiply(there, factor), rtol=1e-5, atol=1e-6)


@STEADY
@given(masks=BOTH, ratio=st.floats(0.01, 1), width=st.integers(1, 4))
def test_boundary_iou_is_a_fraction_and_bands_grow_to_the_whole(masks, ratio, width):
    pred, truth = masks
    assert 0 <= boundary_iou(pred, truth, ratio=ratio) == boundary_iou(truth, pred, ratio=ratio) <= 1
    assert boundary_iou(pred, pred, ratio=ratio) == 1
    thin, thick = inner_band(pred, width), inner_band(pred, width + 1)
    assert not (thin & ~thick).any()
    assert not (thick & ~pred).any()
    assert (inner_band(pred, 9) == pred).all(), 'a picture of 9 pixels is edge all over'


@STEADY
@given(logits=hnp.arrays(np.float32, (3, 2, 2), elements=st.floats(-1e4, 1e4, width=32)))
def test_probabilities_are_fractions(logits):
    found = foreground_probability(torch.from_numpy(logits))
    assert ((found >= 0) & (found <= 1 + 1e-6)).all()


def samples(drawn) -> list[dict]:
    made = []
    for number, (pred, truth) in enumerate(drawn):
        sample = SegDataSample(metainfo=dict(img_path=f'{number}.png', sample_id=str(number), text='x'))
        sample.pred_sem_seg, sample.gt_sem_seg = PixelData(data=pred[None]), PixelData(data=truth[None])
        made.append(sample.to_dict())
    return made


def evaluate(batches, **options) -> dict[str, float]:
    metric = TextSegMetric(protocol=['lvit', 'two-class', 'pooled', 'ris', 'gres'], **options)
    for batch in batches:
        metric.process({}, batch)
    return metric.evaluate(sum(map(len, batches)))


@STEADY
@given(
    drawn=st.lists(labelled(), min_size=1, max_size=5),
    data=st.data(),
    empty=st.sampled_from(['one', 'zero', 'skip']),
)
def test_batches_and_order_do_not_matter(drawn, data, empty):
    items = samples(drawn)
    expected = evaluate([items], empty=empty)
    assert all(math.isnan(value) or 0 <= value <= 1 for value in expected.values())
    cut = data.draw(st.integers(0, len(items)))
    assert evaluate([items[:cut], items[cut:]], empty=empty) == pytest.approx(expected, nan_ok=True)
    shuffled = data.draw(st.permutations(items))
    assert evaluate([[item] for item in shuffled], empty=empty) == pytest.approx(expected, nan_ok=True)
    assert evaluate([items, items], empty=empty) == pytest.approx(expected, nan_ok=True), 'twice the same set'
