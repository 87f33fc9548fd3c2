"""Counts, Dice and IoU of two masks: values worked out by hand, and an independent derivation."""

import numpy as np
import pytest
import torch

from mmseg_textseg.evaluation import Counts, count, dice, iou, pool
from mmseg_textseg.evaluation.overlap import to_mask

# prediction, truth, (tp, fp, fn), dice, iou
BY_HAND = {
    'same': ([[1, 1], [0, 0]], [[1, 1], [0, 0]], (2, 0, 0), 1, 1),
    'half over': ([[1, 1, 0, 0]], [[0, 1, 1, 0]], (1, 1, 1), 1 / 2, 1 / 3),
    'too large': ([[1, 1, 1, 1]], [[1, 0, 0, 0]], (1, 3, 0), 2 / 5, 1 / 4),
    'too small': ([[1, 0, 0], [0, 0, 0]], [[1, 1, 1], [1, 1, 1]], (1, 0, 5), 2 / 7, 1 / 6),
    'apart': ([[1, 0], [0, 0]], [[0, 0], [0, 1]], (0, 1, 1), 0, 0),
    'only prediction': ([[1, 1]], [[0, 0]], (0, 2, 0), 0, 0),
    'only truth': ([[0, 0]], [[1, 0]], (0, 0, 1), 0, 0),
    'ignored truth': ([[1, 1, 0, 0]], [[255, 1, 255, 1]], (1, 0, 1), 2 / 3, 1 / 2),
    'other labels are foreground': ([[2, 0, 3]], [[1, 7, 0]], (1, 1, 1), 1 / 2, 1 / 3),
}


@pytest.mark.parametrize('case', BY_HAND)
def test_hand_worked_values(case):
    pred, truth, expected, expected_dice, expected_iou = BY_HAND[case]
    counts = count(torch.tensor(pred), torch.tensor(truth))
    assert counts == Counts(*expected)
    assert dice(counts) == pytest.approx(expected_dice)
    assert iou(counts) == pytest.approx(expected_iou)
    # The two measure the same overlap: Dice = 2 IoU / (1 + IoU).
    assert dice(counts) == pytest.approx(2 * iou(counts) / (1 + iou(counts)))


@pytest.mark.parametrize('score', [dice, iou])
def test_both_empty_gets_the_stated_score(score):
    nothing = count(torch.zeros(2, 2), torch.zeros(2, 2))
    assert nothing.empty
    assert score(nothing) == 1
    assert score(nothing, empty_score=0.0) == 0
    assert score(Counts(0, 1, 0), empty_score=0.7) == 0, 'one mask with a pixel is not empty'


def test_truth_that_is_all_ignored_is_empty():
    assert count(torch.ones(2, 3), torch.full((2, 3), 255)).empty


def test_ignore_index_is_a_choice():
    pred, truth = torch.tensor([[1, 1, 0]]), torch.tensor([[1, 255, 9]])
    assert count(pred, truth, ignore_index=9) == Counts(2, 0, 0)
    assert count(pred, truth, ignore_index=255) == Counts(1, 0, 1)


@pytest.mark.parametrize('dtype', [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_counts_do_not_depend_on_the_type(dtype):
    pred, truth = torch.ones(40, 40, dtype=dtype), torch.ones(40, 40, dtype=dtype)
    assert count(pred, truth) == Counts(1600, 0, 0), 'uint8 sums must not wrap at 256'


def test_sizes_that_differ_are_an_error():
    with pytest.raises(ValueError, match=r'\(2, 3\).*\(3, 2\)'):
        count(torch.zeros(2, 3), torch.zeros(3, 2))


def test_random_masks_against_sets_of_pixels():
    rng = np.random.default_rng(3)
    every = []
    for _ in range(50):
        pred = (rng.random((7, 9)) < rng.random()).astype(np.uint8)
        truth = (rng.random((7, 9)) < rng.random()).astype(np.uint8)
        truth[rng.random((7, 9)) < 0.1] = 255
        p = {xy for xy in np.ndindex(7, 9) if pred[xy] and truth[xy] != 255}
        t = {xy for xy in np.ndindex(7, 9) if truth[xy] == 1}
        counts = count(torch.from_numpy(pred), torch.from_numpy(truth))
        assert counts == (len(p & t), len(p - t), len(t - p))
        if p or t:
            assert dice(counts) == pytest.approx(2 * len(p & t) / (len(p) + len(t)))
            assert iou(counts) == pytest.approx(len(p & t) / len(p | t))
        every.append((p, t, counts))
    together = pool([counts for *_, counts in every])
    assert together.tp == sum(len(p & t) for p, t, _ in every)
    assert together.fp + together.fn == sum(len(p ^ t) for p, t, _ in every)


def test_pooling():
    assert pool([Counts(1, 2, 3), Counts(10, 0, 5)]) == Counts(11, 2, 8)
    assert pool([]) == Counts(0, 0, 0)


def test_to_mask_takes_the_only_channel_off():
    data = torch.arange(6).reshape(1, 2, 3)
    assert to_mask(data).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert to_mask(data[0]).shape == (2, 3)
    assert to_mask(torch.zeros(1, 1, 4)).shape == (1, 4), 'a picture one pixel high keeps its height'
