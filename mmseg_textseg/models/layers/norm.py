"""Normalisation over one map."""

import torch
from torch import Tensor, nn


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
        # In float32 to the end: sums over a whole map drown in half precision, and so does x - mean for a
        # mean far from zero.
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        var, mean = torch.var_mean(wide, dim=(2, 3), correction=0, keepdim=True)  # (B, C, 1, 1)
        return ((wide - mean) * torch.rsqrt(var + self.eps)).to(x.dtype)

    def extra_repr(self) -> str:
        return f'eps={self.eps}'
