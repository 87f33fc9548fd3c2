"""UpAttention of MPTPN (3.3.2, Fig. 5): a deeper map and a gated skip become one."""

from typing import Literal

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from .pointwise import pointwise
from .up_conv import upsampled_conv


def pool_channels(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and maximum over channels, (B, C, H, W) -> (B, H, W) each.

    The gradient of equal maxima goes to one of them.
    """
    # With fewer passes over the map in backward: a sum's gradient is a view, the mean's a map; the maximum's with
    # indices is written to one channel, amax's compares, counts and divides. It is made in the dimensions' order.
    x = x.permute(0, 2, 3, 1)
    return x.sum(-1) / x.shape[-1], x.max(-1).values if x.requires_grad else x.amax(-1)


class SkipGate(nn.Module):
    """The attention over the skip: mean, maximum and their sum, pooled, through a small MLP; no sigmoid.

    Args:
        channels: of the skip.
        pool: ``'channel'``, the spatial attention module of Fig. 5: a 1x1 convolution and ReLU, then pooling over
            channels, and an MLP 3 -> 6 -> 1 at each pixel; ``'space'``, as the words GAP and GMP say: pooling over
            pixels, and an MLP 3 C -> C -> C.
    """

    def __init__(self, channels: int, pool: Literal['channel', 'space'] = 'channel'):
        super().__init__()
        if pool not in ('channel', 'space'):
            raise ValueError(f"pool must be 'channel' or 'space', got {pool!r}")
        self.pool = pool
        if pool == 'channel':
            self.conv = ConvModule(channels, channels, 1, inplace=False)  # in place on a view is slow in backward
            self.mlp = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1))
        else:
            self.mlp = nn.Sequential(nn.Linear(3 * channels, channels), nn.ReLU(), nn.Linear(channels, channels))

    def forward(self, skip: Tensor) -> Tensor:
        """(B, C, H, W) -> gate (B, 1, H, W) or (B, C, 1, 1)."""
        if self.pool == 'space':
            mean, most = skip.mean((2, 3)), skip.amax((2, 3))  # (B, C)
            return self.mlp(torch.cat([mean, most, mean + most], dim=1))[:, :, None, None]
        x = self.conv.activate(pointwise(self.conv.conv, skip))
        mean, most = pool_channels(x)
        return self.mlp(torch.stack([mean, most, mean + most], dim=-1)).permute(0, 3, 1, 2)


class UpAttention(nn.Module):
    """Up-sampled deeper map and gated skip, concatenated, through two ConvBN.

    The first convolution takes the two inputs in parts: on the deeper map :func:`upsampled_conv` does 4 products an
    output instead of 9, or 9/4, exactly.

    Args:
        deep_channels: of the deeper map.
        skip_channels: of the skip.
        out_channels: of the result; the skip's by default.
        pool: see :class:`SkipGate`.
        norm_cfg: of the convolutions.
    """

    def __init__(
        self,
        deep_channels: int,
        skip_channels: int,
        out_channels: int | None = None,
        pool: Literal['channel', 'space'] = 'channel',
        norm_cfg: dict | None = dict(type='BN', requires_grad=True),
    ):
        super().__init__()
        self.out_channels = skip_channels if out_channels is None else out_channels
        self.gate = SkipGate(skip_channels, pool)
        conv = dict(kernel_size=3, padding=1, norm_cfg=norm_cfg)
        # Without bias, as before a norm; one has it where the norm was folded into it.
        self.conv1 = ConvModule(deep_channels + skip_channels, self.out_channels, bias=False, **conv)
        self.conv2 = ConvModule(self.out_channels, self.out_channels, **conv)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        """Refine.

        Args:
            deep: (B, deep_channels, h, w).
            skip: (B, skip_channels, H, W), H and W of 2h or 2h - 1 and 2w or 2w - 1.

        Returns:
            (B, out_channels, H, W).
        """
        size = skip.shape[2:]
        twice = [2 * side for side in deep.shape[2:]]
        if any(not 0 <= t - s <= 1 for t, s in zip(twice, size, strict=True)):
            raise ValueError(
                f'UpAttention needs a skip of twice the size of the deeper map, got {tuple(size)} and '
                f'{tuple(deep.shape[2:])}: give it maps at strides s and 2s'
            )
        skip = self.gate(skip) * skip
        weight, bias = self.conv1.conv.weight, self.conv1.conv.bias
        on_skip, on_deep = weight.split([skip.shape[1], deep.shape[1]], dim=1)
        if tuple(size) == tuple(twice):
            x = upsampled_conv(deep, on_deep).add_(F.conv2d(skip, on_skip, bias, padding=1))
        else:  # beyond the edge lies zero, not the rest of an up-sampled pixel
            up = F.interpolate(deep, scale_factor=2, mode='nearest')[:, :, : size[0], : size[1]]
            x = F.conv2d(torch.cat([skip, up], dim=1), weight, bias, padding=1)
        if self.conv1.with_norm:
            x = self.conv1.norm(x)
        return self.conv2(self.conv1.activate(x))
