"""Segmentation losses of MPTPN (4.2, eq. 8-11)."""

from typing import Literal

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from .binary import BinaryLoss, mean_over_processes


def weighted_bce_loss(
    logits: Tensor, target: Tensor, w1: float = 0.5, w2: float = 0.5, valid: Tensor | None = None
) -> Tensor:
    """L_WBCE = w1 mean of the BCE over positive pixels + w2 mean over negative pixels (eq. 8-9).

    Args:
        logits: of the foreground, any shape.
        target: 1 foreground, 0 background, of the same shape.
        w1, w2: weights of positive and negative pixels.
        valid: 1 where the pixel counts (or its weight); None for everywhere.

    Returns:
        Scalar. The means are over the whole batch, that of all processes; a class without pixels adds 0.
    """
    target = target.to(logits.dtype)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
    valid = torch.ones_like(target) if valid is None else valid.to(logits.dtype)
    classes = (target * valid, (1 - target) * valid)
    totals = mean_over_processes(torch.stack([chosen.sum() for chosen in classes]))
    # The numerator is 0 with the denominator; 1 in its place keeps the division finite.
    totals = torch.where(totals > 0, totals, torch.ones_like(totals))
    sums = [(chosen * cross_entropy).sum() for chosen in classes]
    return w1 * sums[0] / totals[0] + w2 * sums[1] / totals[1]


def weighted_dice_loss(
    logits: Tensor,
    target: Tensor,
    w1: float = 0.5,
    w2: float = 0.5,
    smooth: float = 1e-5,
    form: Literal['dice', 'printed'] = 'dice',
    valid: Tensor | None = None,
) -> Tensor:
    """L_WDice, 1 - Dice an image, mean over the batch (eq. 10).

    ``'dice'``: 1 - (2 w sum(p y) + s) / (w1 sum(p^2) + w2 sum(y^2) + s) with w the mean of w1 and w2, which is 0 for a
    perfect mask. ``'printed'``: the numerator is w1 w2 sum(p y) + s, which is not (a perfect mask scores 0.75).

    Args:
        logits: of the foreground, (B, ...).
        target: 1 foreground, 0 background, of the same shape.
        w1, w2: weights of prediction and truth.
        smooth: s; 1e-12 in the paper.
        form: see above.
        valid: 1 where the pixel counts (or its weight); None for everywhere.
    """
    if form not in ('dice', 'printed'):
        raise ValueError(f"form must be 'dice' or 'printed', got {form!r}")
    prob = logits.sigmoid().flatten(1)
    target = target.to(prob.dtype).flatten(1)
    valid = torch.ones_like(prob) if valid is None else valid.to(prob.dtype).flatten(1)
    factor = w1 + w2 if form == 'dice' else w1 * w2
    overlap = factor * (prob * target * valid).sum(1)
    total = w1 * (prob * prob * valid).sum(1) + w2 * (target * target * valid).sum(1)
    return (1 - (overlap + smooth) / (total + smooth)).mean()


@MODELS.register_module()
class WeightedBCELoss(BinaryLoss):
    """Weighted binary cross entropy (eq. 9), see :func:`weighted_bce_loss`.

    Args:
        w1, w2: weights of positive and negative pixels.
        loss_weight: factor of the whole, 0.5 in eq. 11.
        loss_name: key in the log.
    """

    def __init__(self, w1: float = 0.5, w2: float = 0.5, loss_weight: float = 1.0, loss_name: str = 'loss_wbce'):
        super().__init__(loss_weight, loss_name)
        self.w1, self.w2 = w1, w2

    def value(self, logit: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        return weighted_bce_loss(logit, truth, self.w1, self.w2, valid)


@MODELS.register_module()
class WeightedDiceLoss(BinaryLoss):
    """Weighted Dice (eq. 10), see :func:`weighted_dice_loss`.

    Args:
        w1, w2: weights of prediction and truth.
        smooth: s.
        form: ``'dice'`` or ``'printed'``.
        loss_weight: factor of the whole, 0.5 in eq. 11.
        loss_name: key in the log.
    """

    def __init__(
        self,
        w1: float = 0.5,
        w2: float = 0.5,
        smooth: float = 1e-5,
        form: Literal['dice', 'printed'] = 'dice',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_wdice',
    ):
        super().__init__(loss_weight, loss_name)
        self.w1, self.w2 = w1, w2
        if form not in ('dice', 'printed'):
            raise ValueError(f"form must be 'dice' or 'printed', got {form!r}")
        self.smooth, self.form = smooth, form

    def value(self, logit: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        return weighted_dice_loss(logit, truth, self.w1, self.w2, self.smooth, self.form, valid)
