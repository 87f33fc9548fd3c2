"""What losses of one foreground class share: MMSegmentation's arguments to a logit, a truth and what counts."""

from typing import NamedTuple

import torch
from torch import Tensor


class BinaryTerms(NamedTuple):
    """All (B, H, W), of one floating dtype.

    Attributes:
        logit: of the foreground.
        truth: 1 foreground, 0 elsewhere.
        valid: 1 where the pixel counts, or its weight; 0 where the target is ``ignore_index``.
    """

    logit: Tensor
    truth: Tensor
    valid: Tensor


def binary_terms(
    logits: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int | None = 255
) -> BinaryTerms:
    """Read the arguments of a loss.

    Args:
        logits: (B, 1, H, W), or (B, 2, H, W) with the foreground second.
        target: (B, H, W), 0 / 1 / ignore_index.
        weight: extra pixel weights (B, H, W), from a pixel sampler.
        ignore_index: label that counts nowhere; None for none.

    Raises:
        ValueError: more than one foreground class.
    """
    if logits.shape[1] > 2:
        raise ValueError(f'a loss for one foreground class (1 or 2 logits) got {logits.shape[1]} channels')
    # Half precision overflows in sums over pixels.
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    # Softmax over two channels is the sigmoid of their difference.
    logit = logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits[:, 0]
    valid = torch.ones_like(logit) if ignore_index is None else (target != ignore_index).to(logit.dtype)
    truth = (target > 0).to(logit.dtype) * valid
    return BinaryTerms(logit, truth, valid if weight is None else valid * weight)
