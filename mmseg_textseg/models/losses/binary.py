"""What losses of one foreground class share: MMSegmentation's arguments to a logit, a truth and what counts."""

from typing import NamedTuple

import torch
import torch.distributed as dist
from mmengine.dist import all_reduce
from torch import Tensor, nn


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


def mean_over_processes(counts: Tensor) -> Tensor:
    """Numbers of pixels that a loss divides by, as the mean over the processes of a distributed training.

    DDP averages the gradients of its processes. If each divided by the pixels of its own batch, pixels of a process
    with few of them would weigh more than in one large batch; divided by the mean number they weigh the same. All
    processes have to call it equally often. Alone, a process gets what it gave.

    Args:
        counts: any shape; no gradient flows through them.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return counts
    counts = counts.detach().clone()
    all_reduce(counts, op='mean')
    return counts


class BinaryLoss(nn.Module):
    """A loss of one foreground class in MMSegmentation's calling convention; subclasses have ``value``.

    Args:
        loss_weight: factor of the whole.
        loss_name: key in the log.
    """

    def __init__(self, loss_weight: float, loss_name: str):
        super().__init__()
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self, logits: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int | None = 255, **_
    ) -> Tensor:
        """Scalar loss; the arguments are those of :func:`binary_terms`."""
        return self.loss_weight * self.value(*binary_terms(logits, target, weight, ignore_index))

    def value(self, logit: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        """The loss of (B, H, W) tensors, see :class:`BinaryTerms`."""
        raise NotImplementedError
