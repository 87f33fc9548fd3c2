"""Normalisation over one map. B batch, C channels, H W size, N = H W pixels, T tokens.

Means and variances are taken by plain sums: ``torch.var_mean`` and ``nn.InstanceNorm2d`` need ten times longer for
channels-last maps on a CPU. Variances are those of a centred map, never a difference of large numbers.
"""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def _wide(x: Tensor) -> Tensor:
    """At least float32: sums over a whole map drown in half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def centred(x: Tensor) -> Tensor:
    """(B, C, H, W) minus each channel's mean over the map, in the dtype of ``x``."""
    wide = _wide(x)
    return (wide - wide.mean((2, 3), keepdim=True)).to(x.dtype)


def inverse_deviation(x: Tensor, eps: float) -> Tensor:
    """1 / sqrt(variance + eps) of each channel of a centred map (B, C, H, W): (B, 1, C), at least float32."""
    return torch.rsqrt(_wide(x).square().mean((2, 3)) + eps)[:, None]


def normed_product(weights: Tensor, values: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Two matrices whose product is the instance norm of another: InstanceNorm(weights @ values).

    It is (weights - mean) @ (values - common) / deviation if each row of ``weights`` sums to 1, or is zero: then what
    the rows of ``values`` have in common does not vary over pixels. The variance of a channel is v^T Cov v, where v are
    its T values and Cov is the covariance of the weights over pixels.

    Args:
        weights: (B, N, T).
        values: (B, T, C).
        eps: added to the variance.

    Returns:
        (B, N, T) in the dtype of ``weights`` and (B, T, C), at least float32.
    """
    with torch.autocast(weights.device.type, enabled=False):
        wide, v = _wide(weights), _wide(values)
        mean = wide.mean(1, keepdim=True)  # (B, 1, T)
        wide = wide - mean
        # What the values have in common, much where a sentence's tokens are alike, would drown the rest.
        v = v - torch.matmul(mean, v)
        cov = torch.matmul(wide.mT, wide) / wide.shape[1]  # (B, T, T)
        variance = (torch.matmul(cov, v) * v).sum(1, keepdim=True).clamp(min=0)
    return wide.to(weights.dtype), v * torch.rsqrt(variance + eps)


class _Standardise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) over a map, keeping nothing but the result for backward."""

    @staticmethod
    def forward(ctx, x: Tensor, eps: float) -> Tensor:
        # In a half type the mean would be rounded to few digits, and so would x - mean for a mean far from zero.
        out = _wide(x)
        out = out - out.mean((2, 3), keepdim=True)
        inverse = torch.rsqrt(out.square().mean((2, 3), keepdim=True) + eps)  # (B, C, 1, 1)
        out = out.mul_(inverse).to(x.dtype)
        ctx.save_for_backward(out, inverse)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        out, inverse = ctx.saved_tensors
        wide, out = _wide(grad), _wide(out)
        along = (wide * out).mean((2, 3), keepdim=True)
        mean = wide.mean((2, 3), keepdim=True)
        result = torch.addcmul(wide, out, along, value=-1).sub_(mean).mul_(inverse)
        return result.to(grad.dtype), None


class InstanceNorm(nn.Module):
    """Instance norm of a (B, C, H, W) map that keeps its memory layout, without affine parameters.

    ``nn.InstanceNorm2d`` goes through a batch-norm call that copies channels-last maps to NCHW, and
    raises on a 1 x 1 map while training. Here a 1 x 1 map, whose variance is 0, becomes 0.

    Args:
        eps: added to the variance.
    """

    def __init__(self, eps: float = 1e-5):
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return _Standardise.apply(x, self.eps)

    def extra_repr(self) -> str:
        return f'eps={self.eps}'
