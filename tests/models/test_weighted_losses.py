"""WBCE and WDice (eq. 8-11): values by hand, loops over pixels, class means, gradients."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

from mmseg_textseg.models import WeightedBCELoss, WeightedDiceLoss, weighted_bce_loss, weighted_dice_loss

LN2, LN3 = math.log(2), math.log(3)
# Logits of probability 3/4 and 1/4; 0 is 1/2. Their BCE: ln 4/3 where right, ln 4 where wrong, ln 2.
A, B = LN3, -LN3
RIGHT, WRONG = math.log(4 / 3), math.log(4)


def logits_of(values):
    return torch.tensor(values, dtype=torch.float64)[:, None, None]  # (B, 1, 1, W)


def mask_of(values):
    return torch.tensor(values)[:, None]  # (B, 1, W)


# (logits, mask, options, value worked out by hand); one list an image.
BCE_CASES = [
    ([[0, 0, 0]], [[1, 0, 0]], {}, LN2),
    ([[A, A, B, 0]], [[1, 0, 0, 0]], {}, 0.5 * RIGHT + 0.5 * (WRONG + RIGHT + LN2) / 3),
    ([[A, A, B, 0]], [[1, 0, 0, 0]], dict(w1=0.9, w2=0.2), 0.9 * RIGHT + 0.2 * (WRONG + RIGHT + LN2) / 3),
    ([[A, A]], [[1, 1]], {}, 0.5 * RIGHT),  # no negatives: their half is 0
    ([[A, A]], [[0, 0]], {}, 0.5 * WRONG),  # no positives
    ([[A, A]], [[255, 255]], {}, 0.0),
    ([[A, B, A]], [[1, 255, 0]], {}, 0.5 * RIGHT + 0.5 * WRONG),
    # The means are over the batch, not the image: positives ln 4/3, ln 2, ln 2.
    ([[A, B], [0, 0]], [[1, 0], [1, 1]], {}, 0.5 * (RIGHT + 2 * LN2) / 3 + 0.5 * RIGHT),
    ([[A, B]], [[1, 0]], dict(loss_weight=4.0), 4 * RIGHT),
]
S = 1e-5
DICE_CASES = [
    ([[0, 0]], [[1, 0]], {}, 1 - (0.5 + S) / (0.25 + 0.5 + S)),
    ([[A, B, 0]], [[1, 0, 1]], {}, 1 - (1.25 + S) / (0.5 * (9 + 1 + 4) / 16 + 1 + S)),
    ([[A, B, 0]], [[1, 0, 1]], dict(form='printed'), 1 - (0.25 * 1.25 + S) / (0.5 * (9 + 1 + 4) / 16 + 1 + S)),
    ([[A, A]], [[1, 0]], dict(w1=0.2, w2=0.6), 1 - (0.8 * 0.75 + S) / (0.2 * 18 / 16 + 0.6 + S)),
    ([[A, A]], [[1, 0]], dict(w1=0.2, w2=0.6, form='printed'), 1 - (0.12 * 0.75 + S) / (0.2 * 18 / 16 + 0.6 + S)),
    ([[A, A]], [[1, 0]], dict(smooth=1.0), 1 - (0.75 + 1) / (0.5 * 18 / 16 + 0.5 + 1)),
    ([[0]], [[0]], {}, 1 - S / (0.125 + S)),  # nothing there, half of it found
    ([[A, 0]], [[1, 255]], {}, 1 - (0.75 + S) / (0.5 * 9 / 16 + 0.5 + S)),
    ([[A, A]], [[255, 255]], {}, 0.0),
    # The mean over images, of 1 - S / (.28125 + S) and 1 - (.75 + S) / (.78125 + S).
    ([[A], [A]], [[0], [1]], {}, 1 - (S / (0.28125 + S) + (0.75 + S) / (0.78125 + S)) / 2),
    ([[0, 0]], [[1, 0]], dict(loss_weight=3.0), 3 * (1 - (0.5 + S) / (0.75 + S))),
]


@pytest.mark.parametrize(('logits', 'mask', 'options', 'value'), BCE_CASES)
def test_wbce_by_hand(logits, mask, options, value):
    assert WeightedBCELoss(**options)(logits_of(logits), mask_of(mask)).item() == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(('logits', 'mask', 'options', 'value'), DICE_CASES)
def test_wdice_by_hand(logits, mask, options, value):
    assert WeightedDiceLoss(**options)(logits_of(logits), mask_of(mask)).item() == pytest.approx(value, abs=1e-12)


# Loops


def bce_loop(logits, mask, w1, w2):
    sums, counts = {0: 0.0, 1: 0.0}, {0: 0, 1: 0}
    for x, y in zip(logits.flatten().tolist(), mask.flatten().tolist(), strict=True):
        if y in sums:
            p = 1 / (1 + math.exp(-x))
            sums[y] += -(math.log(p) if y else math.log(1 - p))
            counts[y] += 1
    return sum(w * sums[y] / counts[y] for w, y in ((w1, 1), (w2, 0)) if counts[y])


def dice_loop(logits, mask, w1, w2, smooth, factor):
    total = 0.0
    for image, truth in zip(logits, mask, strict=True):
        overlap = prediction = positive = 0.0
        for x, y in zip(image.flatten().tolist(), truth.flatten().tolist(), strict=True):
            if y in (0, 1):
                p = 1 / (1 + math.exp(-x))
                overlap, prediction, positive = overlap + p * y, prediction + p * p, positive + y * y
        total += 1 - (factor * overlap + smooth) / (w1 * prediction + w2 * positive + smooth)
    return total / len(logits)


def batch():
    mask = torch.randint(2, (3, 5, 4))
    mask[torch.rand(mask.shape) < 0.2] = 255
    mask[1][mask[1] == 1] = 0  # an image without foreground
    return 3 * torch.randn(3, 1, 5, 4, dtype=torch.float64), mask


@pytest.mark.parametrize('weights', [(0.5, 0.5), (0.8, 0.1), (1.0, 0.0)])
def test_against_loops_over_pixels(weights):
    logits, mask = batch()
    ours = WeightedBCELoss(*weights)(logits, mask).item()
    assert ours == pytest.approx(bce_loop(logits, mask, *weights), rel=1e-12)
    for form, factor in (('dice', sum(weights)), ('printed', weights[0] * weights[1])):
        ours = WeightedDiceLoss(*weights, smooth=0.1, form=form)(logits, mask).item()
        assert ours == pytest.approx(dice_loop(logits, mask, *weights, 0.1, factor), rel=1e-12)


def test_wbce_is_the_mean_of_both_class_means():
    logits, mask = batch()
    p = logits[:, 0].sigmoid()
    means = [F.binary_cross_entropy(p[mask == y], (mask[mask == y]).double()) for y in (0, 1)]
    torch.testing.assert_close(WeightedBCELoss()(logits, mask), sum(means) / 2)


def test_numbers_of_a_class_do_not_matter():
    """What the weighting is for: a target of one pixel weighs as much as all the rest."""
    few = weighted_bce_loss(logits_of([[A] + [B] * 3]), torch.tensor([[1, 0, 0, 0]])[:, None, None])
    many = weighted_bce_loss(logits_of([[A] + [B] * 300]), torch.tensor([[1] + [0] * 300])[:, None, None])
    torch.testing.assert_close(few, many)


# Limits


@pytest.mark.parametrize(('form', 'value'), [('dice', 0.0), ('printed', 0.75)])
def test_a_perfect_mask(form, value):
    mask = torch.randint(2, (2, 6, 6))
    logits = 100.0 * (2 * mask[:, None].double() - 1)
    assert WeightedDiceLoss(form=form, smooth=1e-12)(logits, mask).item() == pytest.approx(value, abs=1e-9)
    assert WeightedBCELoss()(logits, mask).item() == pytest.approx(0, abs=1e-9)
    assert WeightedDiceLoss(smooth=1e-12)(-logits, mask).item() == pytest.approx(1, abs=1e-9)


def test_an_empty_mask_left_empty_costs_nothing():
    logits, mask = torch.full((1, 1, 4, 4), -100.0), torch.zeros(1, 4, 4, dtype=torch.long)
    assert WeightedDiceLoss()(logits, mask) == 0
    assert WeightedBCELoss()(logits, mask) == 0


@pytest.mark.parametrize('loss', [WeightedBCELoss(), WeightedDiceLoss()], ids=['wbce', 'wdice'])
class TestBoth:
    def test_two_channels_are_one_of_the_difference(self, loss):
        (logits, mask), other = batch(), torch.randn(3, 1, 5, 4, dtype=torch.float64)
        two = torch.cat([other, logits + other], 1)
        torch.testing.assert_close(loss(two, mask), loss(logits, mask))
        foreground = two.softmax(1)[:, 1:]
        torch.testing.assert_close(loss(torch.logit(foreground), mask), loss(logits, mask))
        with pytest.raises(ValueError, match=r'one foreground class.*got 3 channels'):
            loss(torch.cat([two, other], 1), mask)

    @pytest.mark.parametrize('index', [255, 1, None])
    def test_ignore_index(self, loss, index):
        """Ignored pixels may hold anything; without an index, whatever is not 0 is foreground."""
        logits, mask = batch()
        if index is None:
            expected = loss(logits, (mask > 0).long())
        else:
            changed = torch.where(mask[:, None] == index, torch.randn_like(logits) * 9, logits)
            expected = loss(changed, torch.where(mask == index, 77, (mask > 0).long()), ignore_index=77)
            logits = logits.requires_grad_()
        value = loss(logits, mask, ignore_index=index)
        torch.testing.assert_close(value, expected)
        if index is not None:
            gradient = torch.autograd.grad(value, logits)[0][:, 0]
            assert gradient[mask == index].eq(0).all()
            assert gradient[mask == 0].abs().max() > 0

    def test_pixel_weights(self, loss):
        """A weight of 2 is the pixel twice, of 0 the pixel left out."""
        logits, mask = logits_of([[A, 0, B, 1.5]]), mask_of([[1, 0, 1, 0]])
        weighted = loss(logits, mask, weight=mask_of([[1, 2, 0, 1]]))
        torch.testing.assert_close(weighted, loss(logits_of([[A, 0, 0, 1.5]]), mask_of([[1, 0, 0, 0]])))

    @pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
    def test_half_precision_at_full_size(self, loss, dtype):
        """224 x 224 squares sum up to near the end of float16; all but one pixel are background."""
        logits = torch.full((2, 1, 448, 448), 10.0, dtype=dtype, requires_grad=True)
        mask = torch.zeros(2, 448, 448, dtype=torch.long)
        mask[:, 5, 5] = 1
        value = loss(logits, mask)
        value.backward()
        assert value.dtype == torch.float32
        assert value.isfinite()
        torch.testing.assert_close(value, loss(logits.detach().float(), mask))
        assert logits.grad.isfinite().all()

    def test_gradients(self, loss):
        logits, mask = batch()
        for x in (logits, torch.cat([logits, -logits + 1], 1)):
            assert torch.autograd.gradcheck(lambda x: loss(x, mask), x.requires_grad_())

    def test_extreme_logits_and_nothing_to_learn_from(self, loss):
        logits = torch.tensor([-1e4, 1e4, 0.0, 50.0]).view(1, 1, 2, 2).requires_grad_()
        for mask in (torch.tensor([[[1, 0], [1, 0]]]), torch.full((1, 2, 2), 255), torch.zeros(1, 2, 2).long()):
            value = loss(logits, mask)
            assert value.isfinite()
            assert torch.autograd.grad(value, logits)[0].isfinite().all()


def test_defaults_and_names():
    for kind, name in (('WeightedBCELoss', 'loss_wbce'), ('WeightedDiceLoss', 'loss_wdice')):
        loss = MODELS.build(dict(type=kind))
        assert (loss.w1, loss.w2, loss.loss_weight, loss.loss_name) == (0.5, 0.5, 1.0, name)
        assert MODELS.build(dict(type=kind, loss_name='loss_x')).loss_name == 'loss_x'
    dice = WeightedDiceLoss()
    assert (dice.smooth, dice.form) == (1e-5, 'dice')
    for bad in (
        lambda: WeightedDiceLoss(form='jaccard'),
        lambda: weighted_dice_loss(*[torch.ones(1, 1)] * 2, form='x'),
    ):
        with pytest.raises(ValueError, match="'dice' or 'printed'"):
            bad()
