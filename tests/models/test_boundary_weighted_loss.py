"""Eq. 13 against scipy's morphology and formulas worked out by hand."""

import math

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from scipy import ndimage

from mmseg_textseg.models import BoundaryWeightedSegLoss, boundary_weights
from mmseg_textseg.models.losses import binary_focal_loss, weighted_soft_dice_loss

LN2 = math.log(2)


def band(mask, kernel_size, iterations):
    """E of one boolean mask; pixels outside count as their nearest pixel, so that they decide nothing."""
    square = np.ones((kernel_size, kernel_size), bool)
    grown = ndimage.binary_dilation(mask, square, iterations, border_value=0)
    shrunk = ndimage.binary_erosion(mask, square, iterations, border_value=1)
    return grown & ~shrunk


def blobs(kind):
    generator = np.random.default_rng(0)
    mask = np.zeros((3, 17, 13), bool)
    if kind == 'interior':
        mask[0, 6:11, 5:9], mask[1, 8, 6], mask[2, 7:9, 4:10] = True, True, True
    elif kind == 'border':
        mask[0, :5, :4], mask[1, 10:, 3:], mask[2, :, 6:] = True, True, True
    elif kind == 'noise':
        mask = generator.random(mask.shape) < 0.3
    else:
        mask[1:] = True  # one image empty, two full
    return mask


@pytest.mark.parametrize(('kernel_size', 'iterations'), [(3, 1), (3, 2), (3, 4), (5, 1), (7, 2), (1, 1), (3, 0)])
@pytest.mark.parametrize('kind', ['interior', 'border', 'noise', 'empty and full'])
def test_weights_equal_scipy(kind, kernel_size, iterations):
    masks = blobs(kind)
    expected = np.stack([np.where(band(m, kernel_size, iterations) if iterations else m & ~m, 1.7, 1.0) for m in masks])
    for mask in (torch.from_numpy(masks), torch.from_numpy(masks).long(), torch.from_numpy(masks).double()):
        weights = boundary_weights(mask, 1.7, kernel_size, iterations)
        torch.testing.assert_close(weights.double(), torch.from_numpy(expected), rtol=1e-6, atol=1e-6)


def test_weights_against_replicated_borders():
    """The documented policy, tried the other way round: pad by the nearest pixel, then crop."""
    for kind in ('border', 'noise'):
        for mask in blobs(kind):
            padded = np.pad(mask, 6, mode='edge')
            expected = np.where(band(padded, 3, 2)[6:-6, 6:-6], 1.2, 1.0)
            weights = boundary_weights(torch.from_numpy(mask)[None], 1.2, 3, 2)[0]
            np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-6)


def test_weights_by_hand():
    dot = torch.zeros(1, 5, 5, dtype=torch.long)
    dot[0, 2, 2] = 1  # dilated: 3 x 3; eroded: nothing
    weights = boundary_weights(dot)[0]
    assert weights[1:4, 1:4].allclose(torch.tensor(1.2))
    assert weights.sum().item() == pytest.approx(9 * 1.2 + 16)
    half = torch.tensor([[[0, 0, 0, 1, 1, 1]]])  # the last 0 and the first 1
    assert boundary_weights(half, lam=3.0)[0, 0].tolist() == pytest.approx([1, 1, 3, 3, 1, 1])
    assert boundary_weights(torch.ones(1, 4, 4)).eq(1).all()
    assert boundary_weights(torch.zeros(1, 4, 4)).eq(1).all()


def test_ignored_pixels_count_as_background():
    mask = torch.zeros(1, 7, 7, dtype=torch.long)
    mask[:, 2:5, 2:5] = 1
    marked = mask.clone()
    marked[mask == 0] = 255
    assert torch.equal(boundary_weights(marked), boundary_weights(mask))
    assert torch.equal(boundary_weights(marked.masked_fill(marked == 255, 9), ignore_index=9), boundary_weights(mask))
    assert not torch.equal(boundary_weights(marked, ignore_index=-1), boundary_weights(mask))


@pytest.mark.parametrize('kernel_size', [2, 0, -1])
def test_bad_kernel(kernel_size):
    with pytest.raises(ValueError, match='odd and positive'):
        boundary_weights(torch.zeros(1, 3, 3), kernel_size=kernel_size)


# Focal: alpha_t (1 - p_t)^gamma (-log p_t)

FOCAL = [
    # logit, target, gamma, alpha, value by hand
    (0.0, 1, 2.0, 0.25, 0.25 * 0.25 * LN2),
    (0.0, 0, 2.0, 0.25, 0.75 * 0.25 * LN2),
    (0.0, 1, 0.0, 0.25, 0.25 * LN2),
    (math.log(3), 1, 2.0, 0.25, 0.25 * (1 / 16) * math.log(4 / 3)),  # p = 3/4
    (math.log(3), 0, 2.0, 0.25, 0.75 * (9 / 16) * math.log(4)),
    (-math.log(3), 1, 1.0, 0.5, 0.5 * 0.75 * math.log(4)),
    (-math.log(9), 0, 3.0, 0.1, 0.9 * 1e-3 * math.log(10 / 9)),  # p = 1/10
]


@pytest.mark.parametrize(('logit', 'target', 'gamma', 'alpha', 'value'), FOCAL)
def test_focal_by_hand(logit, target, gamma, alpha, value):
    logits, truth = (torch.full((1, 1, 1), float(v), dtype=torch.float64) for v in (logit, target))
    loss = binary_focal_loss(logits, truth, torch.ones_like(logits), gamma, alpha)
    assert loss.item() == pytest.approx(value, rel=1e-9)


def test_focal_is_the_mean_over_valid_pixels():
    logits = torch.tensor([[[0.0, math.log(3), 50.0]]], dtype=torch.float64)
    truth, valid = torch.tensor([[[1.0, 0.0, 0.0]]]).double(), torch.tensor([[[1.0, 1.0, 0.0]]]).double()
    assert binary_focal_loss(logits, truth, valid).item() == pytest.approx((FOCAL[0][4] + FOCAL[4][4]) / 2, rel=1e-9)


@pytest.mark.parametrize('gamma', [2.0, 1.0, 0.5, 0.0])
def test_focal_is_finite_at_extreme_logits(gamma):
    logits = torch.tensor([[[200.0, -200.0, 200.0, -200.0]]], requires_grad=True)
    truth = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
    loss = binary_focal_loss(logits, truth, torch.ones_like(truth), gamma)
    assert loss.item() == pytest.approx((0.25 * 200 + 0.75 * 200) / 4)
    loss.backward()
    assert logits.grad.isfinite().all()


# Dice, W inside the sums


def test_dice_by_hand():
    prob = torch.tensor([[[0.5, 1.0]], [[0.0, 0.0]]])
    truth = torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]])
    weight = torch.tensor([[[1.2, 1.0]], [[1.0, 1.0]]])
    # image 1: 2 * 1.2 * 0.5 + 1 over (0.6 + 1.0) + 1.2 + 1; image 2: empty by empty, loss 0
    assert weighted_soft_dice_loss(prob, truth, weight).item() == pytest.approx((1 - 2.2 / 3.8 + 0) / 2)
    assert weighted_soft_dice_loss(prob, truth, weight, smooth=0.5).item() == pytest.approx((1 - 1.7 / 3.3) / 2)


def test_a_miss_on_the_boundary_costs_more():
    truth = torch.zeros(1, 9, 9)
    truth[:, 2:7, 2:7] = 1
    weight = boundary_weights(truth, lam=3.0)
    inside, edge = truth.clone(), truth.clone()
    inside[:, 4, 4] = 0
    edge[:, 2, 4] = 0
    assert weighted_soft_dice_loss(edge, truth, weight) > 1.5 * weighted_soft_dice_loss(inside, truth, weight)


# The registered loss


def by_hand(logit, target, lam=1.2, gamma=2.0, alpha=0.25, smooth=1.0, ignore=255, iterations=1, kernel_size=3):
    """Eq. 13 in numpy, one picture and one pixel at a time; logit and target (B, H, W)."""
    focal, count, dice = 0.0, 0, []
    for z, t in zip(logit, target, strict=True):
        weight = np.where(band(t == 1, kernel_size, iterations), lam, 1.0)
        overlap = total = 0.0
        for index in np.ndindex(z.shape):
            if t[index] == ignore:
                continue
            p, y = 1 / (1 + math.exp(-z[index])), t[index]
            focal -= alpha * (1 - p) ** gamma * math.log(p) if y else (1 - alpha) * p**gamma * math.log(1 - p)
            count += 1
            overlap += weight[index] * p * y
            total += weight[index] * (p + y)
        dice.append(1 - (2 * overlap + smooth) / (total + smooth))
    return focal / max(count, 1) + sum(dice) / len(dice)


@pytest.mark.parametrize('ignored', [False, True])
@pytest.mark.parametrize(
    'options', [{}, dict(lam=2.5, iterations=2), dict(kernel_size=5), dict(gamma=1.0, alpha=0.6, smooth=0.1)], ids=str
)
def test_loss_equals_the_formula(options, ignored):
    target = torch.from_numpy(blobs('interior')).long()
    if ignored:
        target[:, 5:8, 5:8] = 255
    logits = torch.randn(3, 1, 17, 13, dtype=torch.float64)
    expected = by_hand(logits[:, 0].numpy(), target.numpy(), **options)
    loss = BoundaryWeightedSegLoss(**options)
    assert loss(logits, target).item() == pytest.approx(expected, rel=1e-7)  # W is float32 for integer masks
    two = torch.stack([torch.randn_like(logits[:, 0]), torch.zeros_like(logits[:, 0])], 1)
    two[:, 1] = two[:, 0] + logits[:, 0]
    assert loss(two, target).item() == pytest.approx(expected, rel=1e-7)


def test_lambda_one_is_plain_dice_plus_focal():
    target, logits = torch.from_numpy(blobs('border')).long(), torch.randn(3, 1, 17, 13)
    prob, truth = logits[:, 0].sigmoid(), target.float()
    dice = 1 - (2 * (prob * truth).sum((1, 2)) + 1) / ((prob + truth).sum((1, 2)) + 1)
    focal = binary_focal_loss(logits[:, 0], truth, torch.ones_like(truth))
    torch.testing.assert_close(BoundaryWeightedSegLoss(lam=1.0)(logits, target), focal + dice.mean())


def test_ignored_pixels_have_no_say():
    target = torch.from_numpy(blobs('interior')).long()
    target[:, 5:8, 5:8] = 255
    logits = torch.randn(3, 1, 17, 13, requires_grad=True)
    loss = BoundaryWeightedSegLoss()(logits, target)
    loss.backward()
    assert logits.grad[:, 0][target == 255].eq(0).all()
    assert logits.grad[:, 0][target != 255].ne(0).all()
    other = torch.where(target[:, None] == 255, torch.randn_like(logits), logits)
    torch.testing.assert_close(BoundaryWeightedSegLoss()(other, target), loss)


@pytest.mark.parametrize('dtype', [torch.int64, torch.uint8])
def test_without_ignore_index_255_is_foreground(dtype):
    target = torch.zeros(1, 6, 6, dtype=dtype)
    target[:, 2:4, 2:4] = 255
    logits = torch.randn(1, 1, 6, 6)
    loss = BoundaryWeightedSegLoss()(logits, target, ignore_index=None)
    torch.testing.assert_close(loss, BoundaryWeightedSegLoss()(logits, (target > 0).long()))


def test_bool_target():
    target, logits = torch.from_numpy(blobs('noise')), torch.randn(3, 1, 17, 13)
    loss = BoundaryWeightedSegLoss()
    torch.testing.assert_close(loss(logits, target), loss(logits, target.long()))


def test_pixel_weights_of_a_sampler():
    target, logits = torch.from_numpy(blobs('interior')).long(), torch.randn(3, 1, 17, 13)
    keep = torch.rand(3, 17, 13) > 0.5
    dropped = BoundaryWeightedSegLoss()(logits, target, weight=keep.float())
    other = torch.where(keep[:, None], logits, torch.randn_like(logits))
    torch.testing.assert_close(BoundaryWeightedSegLoss()(other, target, weight=keep.float()), dropped)


@pytest.mark.parametrize('value', [0, 1, 255])
@pytest.mark.parametrize('channels', [1, 2])
@pytest.mark.parametrize('scale', [1.0, 1e3])
def test_masks_of_one_value_are_finite(value, channels, scale):
    logits = (torch.randn(2, channels, 6, 6) * scale).requires_grad_()
    loss = BoundaryWeightedSegLoss()(logits, torch.full((2, 6, 6), value))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_a_right_answer_costs_nothing():
    target = torch.from_numpy(blobs('empty and full')).long()
    target[2, :, :6] = 0
    assert BoundaryWeightedSegLoss()((target * 2 - 1)[:, None] * 40.0, target).item() < 1e-6
    assert BoundaryWeightedSegLoss()((1 - target * 2)[:, None] * 40.0, target).item() > 1


def test_gradcheck():
    target = torch.from_numpy(blobs('interior'))[:2, 4:9, 4:9].long()
    target[0, 0, 0] = 255
    loss = BoundaryWeightedSegLoss()
    for channels in (1, 2):
        logits = torch.randn(2, channels, 5, 5, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits,))


def test_half_precision_logits_give_a_float32_loss():
    target, logits = torch.from_numpy(blobs('interior')).long(), torch.randn(3, 2, 17, 13).bfloat16()
    loss = BoundaryWeightedSegLoss()(logits, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, BoundaryWeightedSegLoss()(logits.float(), target))


def test_settings():
    loss = MODELS.build(dict(type='BoundaryWeightedSegLoss', loss_weight=3.0, loss_name='loss_x'))
    logits, target = torch.randn(1, 2, 5, 5), torch.randint(2, (1, 5, 5))
    torch.testing.assert_close(loss(logits, target), 3 * BoundaryWeightedSegLoss()(logits, target))
    assert loss.loss_name == 'loss_x'
    assert BoundaryWeightedSegLoss().lam == 1.2
    with pytest.raises(ValueError, match='one foreground class'):
        loss(torch.randn(1, 3, 5, 5), target)
