"""Vision-language contrastive loss of LSMS (III-E, eq. 14), over all pairs, without a pair matrix.

B images, C channels, P positive pixels of an image, Q negative ones.
"""

from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Pairs held at once: 16 MiB of float32 similarities, which the last cache of today's CPUs holds. Smaller chunks make
# the matrix products too thin and add up gradients of all negatives too often, larger ones cost memory.
CHUNK_PAIRS = 1 << 22


def _similarities(p: Tensor, n: Tensor, tau: float) -> Iterator[tuple[slice, Tensor]]:
    """Rows of the pair matrix p n^T / tau, a chunk at a time, all in one buffer."""
    step = max(1, CHUNK_PAIRS // len(n))
    buffer = p.new_empty(min(step, len(p)), len(n))
    for start in range(0, len(p), step):
        rows = slice(start, min(start + step, len(p)))
        yield rows, torch.mm(p[rows], n.T, out=buffer[: rows.stop - start]).div_(tau)


class _ImageLoss(torch.autograd.Function):
    """Mean over an image's positives of log r_i, or of r_i, of eq. 14; a scalar.

    A chunk has all pairs of its rows, so their gradient is known as soon as their sum is. It is worked out there and
    then, and nothing has to be kept of the pairs, or worked out twice.
    """

    @staticmethod
    def forward(
        ctx, pixels: Tensor, language: Tensor, positive: Tensor, negative: Tensor, tau: float, unit: bool, log: bool
    ) -> Tensor:
        """pixels (N, C), language (C,), positive (P,) and negative (Q,) indices of pixels."""
        (p, p_norm), (n, n_norm) = _gather(pixels, positive, unit), _gather(pixels, negative, unit)
        align = p @ language / tau  # (P,)
        differentiate = any(ctx.needs_input_grad)
        log_ratio, slope = torch.empty_like(align), torch.empty_like(align)
        grad_p, grad_n = (torch.empty_like(p), torch.zeros_like(n)) if differentiate else (None, None)
        for rows, repel in _similarities(p, n, tau):  # (p, Q)
            top = repel.amax(1, keepdim=True)
            repel.sub_(top).exp_()
            total = torch.logaddexp(align[rows], repel.sum(1).log_().add_(top[:, 0]))
            log_ratio[rows] = align[rows] - total
            if not differentiate:
                continue
            # Of the mean by log r_i, over tau; d log r_i / d s_ij = -e^(s_ij - total_i).
            slope[rows] = (1 if log else log_ratio[rows].exp()) / (len(p) * tau)
            repel.mul_((slope[rows] * (top[:, 0] - total).exp())[:, None])
            torch.mm(repel, n, out=grad_p[rows])
            grad_n.addmm_(repel.T, p[rows], alpha=-1)
        if differentiate:
            # d log r_i / d align_i = 1 - e^(align_i - total_i)
            to_align = slope * -log_ratio.expm1()  # (P,)
            grad_p.neg_().addr_(to_align, language)
            grad_language = to_align @ p
            if unit:
                _through_normalise(grad_p, p, p_norm)
                _through_normalise(grad_n, n, n_norm)
            ctx.save_for_backward(positive, negative, grad_p, grad_n, grad_language)
            ctx.size = pixels.shape
        return (log_ratio if log else log_ratio.exp()).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        positive, negative, grad_p, grad_n, grad_language = ctx.saved_tensors
        out = grad_p.new_zeros(ctx.size)
        out[positive] = grad_p * grad
        out[negative] = grad_n * grad
        return out, grad_language * grad, None, None, None, None, None


def _gather(pixels: Tensor, index: Tensor, unit: bool) -> tuple[Tensor, Tensor | None]:
    """Rows of (N, C), a copy, divided by their lengths in place; and the lengths (P, 1)."""
    rows = pixels[index]
    if not unit:
        return rows, None
    norm = rows.norm(dim=1, keepdim=True).clamp_(min=1e-12)
    return rows.div_(norm), norm


def _through_normalise(grad: Tensor, unit: Tensor, norm: Tensor) -> None:
    """Gradient of x / |x|, in place: (g - u (u.g)) / |x|."""
    along = torch.bmm(grad[:, None], unit[:, :, None])[:, 0]  # (P, 1), without a (P, C) product
    grad.addcmul_(unit, along, value=-1).div_(norm)


def vision_language_contrastive_loss(
    features: Tensor,
    language: Tensor,
    mask: Tensor,
    tau: float = 0.1,
    form: Literal['infonce', 'ratio'] = 'infonce',
    normalize: bool = True,
) -> Tensor:
    """Pull an image's target pixels to its sentence, push them from the other pixels (eq. 14).

        L = -1/P sum_i log r_i   (``'infonce'``)   or   -1/P sum_i r_i   (``'ratio'``, as printed)
        r_i = e^(p_i.l/tau) / (e^(p_i.l/tau) + sum_j e^(p_i.n_j/tau))

    Every pair counts. Memory beyond inputs and gradients is that of one gathered copy of an image's features, and of
    a chunk of pairs.

    Args:
        features: final features (B, C, H, W).
        language: projected mean of the tokens, L_avg (B, C).
        mask: truth (B, H, W): bool, or 1 positive, 0 negative, anything else neither.
        tau: temperature.
        form: with or without the logarithm.
        normalize: l2-normalise pixels and language.

    Returns:
        Scalar: mean over the batch; an image without positives or without negatives adds 0.
    """
    if form not in ('infonce', 'ratio'):
        raise ValueError(f"form must be 'infonce' or 'ratio', got {form!r}")
    if mask.shape != (features.shape[0], *features.shape[2:]):
        raise ValueError(
            f'mask must be (B, H, W) of the features {tuple(features.shape)}, got {tuple(mask.shape)}; '
            'bring it to their size first'
        )
    dtype = torch.promote_types(features.dtype, torch.float32)
    with torch.autocast(features.device.type, enabled=False):
        words = language.to(dtype)
        if normalize:
            words = F.normalize(words, dim=1)
        pixels = features.permute(0, 2, 3, 1).flatten(1, 2)  # (B, N, C): a view where channels are last
        labels = mask.flatten(1)
        loss = (features[0, 0, 0, 0].to(dtype) + words[0, 0]) * 0  # keeps both in the graph where no image has pairs
        for image, word, label in zip(pixels, words, labels, strict=True):
            positive = (label == 1).nonzero().squeeze(1)
            negative = (label == 0).nonzero().squeeze(1)
            if len(positive) == 0 or len(negative) == 0:
                continue
            log = form == 'infonce'
            loss = loss - _ImageLoss.apply(image.to(dtype), word, positive, negative, tau, normalize, log)
        return loss / len(pixels)


@MODELS.register_module()
class VisionLanguageContrastiveLoss(nn.Module):
    """:func:`vision_language_contrastive_loss` with the mask brought to the features' size.

    Args:
        tau: temperature, 0.1 in the paper.
        form: ``'infonce'`` or ``'ratio'``.
        normalize: l2-normalise features and language.
        loss_weight: alpha of eq. 15, 0.125 in the paper.
        loss_name: key in the log.
    """

    def __init__(
        self,
        tau: float = 0.1,
        form: Literal['infonce', 'ratio'] = 'infonce',
        normalize: bool = True,
        loss_weight: float = 0.125,
        loss_name: str = 'loss_con',
    ):
        super().__init__()
        self.tau = tau
        self.form = form
        self.normalize = normalize
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(self, features: Tensor, language: Tensor, mask: Tensor) -> Tensor:
        """Weighted scalar loss of features (B, C, h, w), language (B, C) and mask (B, H, W)."""
        small = F.interpolate(mask[:, None].float(), size=features.shape[2:], mode='nearest-exact')[:, 0]
        loss = vision_language_contrastive_loss(features, language, small, self.tau, self.form, self.normalize)
        return self.loss_weight * loss
