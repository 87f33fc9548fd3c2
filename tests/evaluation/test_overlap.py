"""Counts of two masks and their scores: values worked out by hand, and independent derivations."""

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from mmseg_textseg.evaluation import (
    Counts,
    EvaluationError,
    accuracy,
    count,
    dice,
    iou,
    mean_iou,
    pool,
    precision,
    recall,
)
from mmseg_textseg.evaluation.overlap import compare, predicted_mask, to_mask

SCORES = (dice, iou, mean_iou, accuracy, precision, recall)
# prediction, truth, (tp, fp, fn, tn), (dice, iou, mean IoU, accuracy, precision, recall)
BY_HAND = {
    'same': ([[1, 1], [0, 0]], [[1, 1], [0, 0]], (2, 0, 0, 2), (1, 1, 1, 1, 1, 1)),
    'half over': ([[1, 1, 0, 0]], [[0, 1, 1, 0]], (1, 1, 1, 1), (1 / 2, 1 / 3, 1 / 3, 1 / 2, 1 / 2, 1 / 2)),
    # Background: 6 in both, 9 in either.
    'much background': (
        [[1, 1, 1, 0, 0], [0, 0, 0, 0, 0]],
        [[1, 0, 0, 1, 0], [0, 0, 0, 0, 0]],
        (1, 2, 1, 6),
        (2 / 5, 1 / 4, (1 / 4 + 6 / 9) / 2, 7 / 10, 1 / 3, 1 / 2),
    ),
    'too large': ([[1, 1, 1, 1]], [[1, 0, 0, 0]], (1, 3, 0, 0), (2 / 5, 1 / 4, 1 / 8, 1 / 4, 1 / 4, 1)),
    'too small': (
        [[1, 0, 0], [0, 0, 0]],
        [[1, 1, 1], [1, 1, 1]],
        (1, 0, 5, 0),
        (2 / 7, 1 / 6, 1 / 12, 1 / 6, 1, 1 / 6),
    ),
    'apart': ([[1, 0], [0, 0]], [[0, 0], [0, 1]], (0, 1, 1, 2), (0, 0, 1 / 4, 1 / 2, 0, 0)),
    'only prediction': ([[1, 1]], [[0, 0]], (0, 2, 0, 0), (0, 0, 0, 0, 0, 0)),
    'only prediction, some background': ([[1, 0, 0]], [[0, 0, 0]], (0, 1, 0, 2), (0, 0, 1 / 3, 2 / 3, 0, 0)),
    'only truth': ([[0, 0]], [[1, 0]], (0, 0, 1, 1), (0, 0, 1 / 4, 1 / 2, 0, 0)),
    'no background in both': ([[1, 1]], [[1, 1]], (2, 0, 0, 0), (1, 1, 1, 1, 1, 1)),
    'both empty': ([[0, 0]], [[0, 0]], (0, 0, 0, 2), (1, 1, 1, 1, 1, 1)),
    'ignored truth': ([[1, 1, 0, 0]], [[255, 1, 255, 1]], (1, 0, 1, 0), (2 / 3, 1 / 2, 1 / 4, 1 / 2, 1, 1 / 2)),
    'other labels are foreground': ([[2, 0, 3]], [[1, 7, 0]], (1, 1, 1, 0), (1 / 2, 1 / 3, 1 / 6, 1 / 3, 1 / 2, 1 / 2)),
}


@pytest.mark.parametrize('case', BY_HAND)
def test_hand_worked_values(case):
    pred, truth, expected, scores = BY_HAND[case]
    counts = count(torch.tensor(pred), torch.tensor(truth))
    assert counts == Counts(*expected)
    assert [score(counts) for score in SCORES] == pytest.approx(scores)
    # The two measure the same overlap: Dice = 2 IoU / (1 + IoU).
    assert dice(counts) == pytest.approx(2 * iou(counts) / (1 + iou(counts)))


@pytest.mark.parametrize('score', [dice, iou, precision, recall])
def test_both_empty_gets_the_stated_score(score):
    nothing = count(torch.zeros(2, 2), torch.zeros(2, 2))
    assert nothing.empty
    assert score(nothing) == 1
    assert score(nothing, empty_score=0.0) == 0
    for one in (Counts(0, 1, 0, 0), Counts(0, 0, 1, 0)):
        assert score(one, empty_score=0.7) == 0, 'one mask with a pixel is not empty'


def test_both_empty_is_no_question_for_the_background():
    nothing = Counts(0, 0, 0, 4)
    assert mean_iou(nothing, empty_score=0.0) == pytest.approx((0 + 1) / 2)
    assert accuracy(nothing, empty_score=0.0) == 1
    # The score is the foreground's alone: a picture without background is not empty.
    assert mean_iou(Counts(4, 0, 0, 0), empty_score=0.0) == 1


def test_no_pixel_that_counts():
    nothing = Counts(0, 0, 0, 0)
    assert [score(nothing, empty_score=0.0) for score in SCORES] == [0, 0, 0.5, 0, 0, 0]
    assert [score(nothing) for score in SCORES] == [1] * 6


def test_truth_that_is_all_ignored_is_empty():
    assert count(torch.ones(2, 3), torch.full((2, 3), 255)) == Counts(0, 0, 0, 0)
    assert Counts(0, 0, 0, 0).empty


def test_ignore_index_is_a_choice():
    pred, truth = torch.tensor([[1, 1, 0]]), torch.tensor([[1, 255, 9]])
    assert count(pred, truth, ignore_index=9) == Counts(2, 0, 0, 0)
    assert count(pred, truth, ignore_index=255) == Counts(1, 0, 1, 0)


@pytest.mark.parametrize('dtype', [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_counts_do_not_depend_on_the_type(dtype):
    ones, zeros = torch.ones(40, 40, dtype=dtype), torch.zeros(40, 40, dtype=dtype)
    assert count(ones, ones) == Counts(1600, 0, 0, 0), 'uint8 sums must not wrap at 256'
    assert count(zeros, zeros) == Counts(0, 0, 0, 1600)


def test_sizes_that_differ_are_an_error():
    with pytest.raises(EvaluationError, match=r'\(2, 3\).*\(3, 2\)'):
        count(torch.zeros(2, 3), torch.zeros(3, 2))


def test_random_masks_against_sets_of_pixels():
    rng = np.random.default_rng(3)
    every, pixels = [], set(np.ndindex(7, 9))
    for _ in range(50):
        pred = (rng.random((7, 9)) < rng.random()).astype(np.uint8)
        truth = (rng.random((7, 9)) < rng.random()).astype(np.uint8)
        truth[rng.random((7, 9)) < 0.1] = 255
        p = {xy for xy in np.ndindex(7, 9) if pred[xy] and truth[xy] != 255}
        t = {xy for xy in np.ndindex(7, 9) if truth[xy] == 1}
        counts = count(torch.from_numpy(pred), torch.from_numpy(truth))
        rest = {xy for xy in pixels if truth[xy] != 255} - p - t
        assert counts == (len(p & t), len(p - t), len(t - p), len(rest))
        if p or t:
            assert dice(counts) == pytest.approx(2 * len(p & t) / (len(p) + len(t)))
            assert iou(counts) == pytest.approx(len(p & t) / len(p | t))
        every.append((p, t, counts))
    together = pool([counts for *_, counts in every])
    assert together.tp == sum(len(p & t) for p, t, _ in every)
    assert together.fp + together.fn == sum(len(p ^ t) for p, t, _ in every)


def test_random_masks_against_mmsegmentation():
    rng = np.random.default_rng(5)
    for _ in range(50):
        pred = torch.from_numpy((rng.random((8, 6)) < rng.uniform(0.2, 0.8)).astype(np.int64))
        truth = torch.from_numpy((rng.random((8, 6)) < rng.uniform(0.2, 0.8)).astype(np.int64))
        truth[torch.from_numpy(rng.random((8, 6)) < 0.1)] = 255
        areas = IoUMetric.intersect_and_union(pred, truth, num_classes=2, ignore_index=255)
        theirs = IoUMetric.total_area_to_metrics(*areas, metrics=['mIoU', 'mDice', 'mFscore'])
        expected = [theirs['Dice'][1], theirs['IoU'][1], theirs['IoU'].mean(), theirs['aAcc']]
        expected += [theirs['Precision'][1], theirs['Recall'][1]]
        assert not np.isnan(expected).any(), 'a draw without one of the classes'
        ours = count(pred, truth)
        assert [score(ours) for score in SCORES] == pytest.approx(list(map(float, expected)), rel=1e-6)


def test_pooling():
    assert pool([Counts(1, 2, 3, 4), Counts(10, 0, 5, 30)]) == Counts(11, 2, 8, 34)
    assert pool([]) == Counts(0, 0, 0, 0)


def test_to_mask_takes_the_only_channel_off():
    data = torch.arange(6).reshape(1, 2, 3)
    assert to_mask(data).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert to_mask(data[0]).shape == (2, 3)
    assert to_mask(torch.zeros(1, 1, 4)).shape == (1, 4), 'a picture one pixel high keeps its height'


def test_ignored_pixels_are_in_neither_mask():
    masks = compare(torch.tensor([[1, 1, 0, 0]]), torch.tensor([[255, 1, 255, 2]]))
    assert masks.pred.tolist() == [[False, True, False, False]]
    assert masks.truth.tolist() == [[False, True, False, True]]
    assert masks.counted == 2


LOGITS = torch.tensor([[[0.0, 0.0, 2.0, -3.0]], [[1.0, -1.0, 2.2, 9.0]]])  # foreground .73, .27, .55, 1.0
THREE = torch.cat([LOGITS[:1], LOGITS[:1] - 1, LOGITS[:1]])  # two classes of foreground: 1.37 to 1


@pytest.mark.parametrize(
    ('logits', 'threshold', 'expected'),
    [
        (LOGITS, 0.5, [1, 0, 1, 1]),
        (LOGITS, 0.6, [1, 0, 0, 1]),
        (LOGITS, 0.2, [1, 1, 1, 1]),
        (torch.tensor([[[0.4, 0.5, 0.51, 0.9]]]), 0.5, [0, 0, 1, 1]),  # a probability already
        (torch.tensor([[[0.4, 0.5, 0.51, 0.9]]]), 0.8, [0, 0, 0, 1]),
        (THREE, 0.57, [1, 1, 1, 1]),
        (THREE, 0.59, [0, 0, 0, 0]),
    ],
)
def test_threshold_of_the_probability(logits, threshold, expected):
    sample = dict(seg_logits=dict(data=logits), pred_sem_seg=dict(data=torch.zeros(1, 1, 4)))
    assert predicted_mask(sample, threshold).int().tolist() == [expected]
    assert predicted_mask(sample).int().tolist() == [[0, 0, 0, 0]], 'without one the model decides'


def test_a_threshold_without_logits_is_an_error():
    with pytest.raises(EvaluationError, match=r'no seg_logits for a\.png: threshold=0\.3 needs them; leave it None'):
        predicted_mask(dict(img_path='a.png', pred_sem_seg=dict(data=torch.zeros(1, 1, 4))), 0.3)
