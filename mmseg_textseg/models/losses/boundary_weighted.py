"""Segmentation loss of LSMS (III-E, eq. 13): focal + boundary-weighted Dice."""

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from .binary import BinaryLoss, mean_over_processes


def boundary_weights(
    mask: Tensor, lam: float = 1.2, kernel_size: int = 3, iterations: int = 1, ignore_index: int | None = 255
) -> Tensor:
    """W = lam E + (1 - E), E = dilate(M) - erode(M).

    Args:
        mask: truth (B, H, W): bool, or 1 foreground, 0 background, ``ignore_index`` neither.
        lam: weight of the boundary band.
        kernel_size: side of the square structuring element, odd.
        iterations: how often it is applied; the band is about ``iterations * (kernel_size - 1)`` pixels wide.
        ignore_index: label that counts as background here; None for none.

    Returns:
        (B, H, W) float weights. The picture's edge makes no boundary: outside counts as its nearest pixel.
    """
    if kernel_size % 2 == 0 or kernel_size < 1:
        raise ValueError(f'kernel_size must be odd and positive, got {kernel_size}')
    foreground = _foreground(mask, ignore_index)
    # Max pooling pads with -inf, so that dilation, and erosion as the dilation of the complement, only
    # ever look at pixels of the picture.
    grown, shrunk = foreground[:, None], 1 - foreground[:, None]
    for _ in range(iterations):
        grown = F.max_pool2d(grown, kernel_size, stride=1, padding=kernel_size // 2)
        shrunk = F.max_pool2d(shrunk, kernel_size, stride=1, padding=kernel_size // 2)
    edge = (grown - (1 - shrunk))[:, 0]
    return lam * edge + (1 - edge)


def _foreground(mask: Tensor, ignore_index: int | None) -> Tensor:
    inside = mask > 0 if ignore_index is None else (mask > 0) & (mask != ignore_index)
    return inside.to(mask.dtype if mask.is_floating_point() else torch.get_default_dtype())


def binary_focal_loss(logits: Tensor, target: Tensor, valid: Tensor, gamma: float = 2.0, alpha: float = 0.25) -> Tensor:
    """Focal loss, mean over valid pixels (of all processes' batches): alpha_t (1 - p_t)^gamma (-log p_t).

    Args:
        logits: foreground logit (B, H, W).
        target: 1 foreground, 0 background (B, H, W), float.
        valid: (B, H, W), 1 where the pixel counts.
        gamma: focusing exponent.
        alpha: weight of the foreground, 1 - alpha that of the background.
    """
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
    # (1 - p_t)^gamma through logarithms: a power of 0 has no finite gradient for gamma below 1.
    miss = (gamma * F.logsigmoid((1 - 2 * target) * logits)).exp()
    weight = target * alpha + (1 - target) * (1 - alpha)
    return (weight * miss * cross_entropy * valid).sum() / mean_over_processes(valid.sum()).clamp(min=1)


def weighted_soft_dice_loss(prob: Tensor, target: Tensor, weight: Tensor, smooth: float = 1.0) -> Tensor:
    """1 - (2 sum(w p t) + s) / (sum(w p) + sum(w t) + s) an image, mean over the batch.

    Dice is a measure of sets, so eq. 13's W weights each pixel inside its sums.

    Args:
        prob, target, weight: (B, H, W).
        smooth: s, keeps an empty truth with an empty prediction at loss 0.
    """
    overlap = (weight * prob * target).flatten(1).sum(1)
    total = (weight * prob).flatten(1).sum(1) + (weight * target).flatten(1).sum(1)
    return (1 - (2 * overlap + smooth) / (total + smooth)).mean()


@MODELS.register_module()
class BoundaryWeightedSegLoss(BinaryLoss):
    """L_seg = focal(M, M_gt) + W (.) dice(M, M_gt), eq. 13, for one foreground class.

    Args:
        lam: weight of the boundary band, 1.2 in the paper.
        kernel_size, iterations: of the structuring element.
        gamma, alpha: of the focal loss.
        smooth: of the Dice loss.
        loss_weight: factor of the whole.
        loss_name: key in the log.
    """

    def __init__(
        self,
        lam: float = 1.2,
        kernel_size: int = 3,
        iterations: int = 1,
        gamma: float = 2.0,
        alpha: float = 0.25,
        smooth: float = 1.0,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_seg',
    ):
        super().__init__(loss_weight, loss_name)
        self.lam = lam
        self.kernel_size = kernel_size
        self.iterations = iterations
        self.gamma = gamma
        self.alpha = alpha
        self.smooth = smooth

    def value(self, logit: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        edges = boundary_weights(truth, self.lam, self.kernel_size, self.iterations, ignore_index=None)
        focal = binary_focal_loss(logit, truth, valid, self.gamma, self.alpha)
        dice = weighted_soft_dice_loss(logit.sigmoid(), truth, edges * valid, self.smooth)
        return focal + dice
