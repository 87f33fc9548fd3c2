"""Pixel-level attention of LViT (III-A): how much of a skip connection goes on, pixel by pixel."""

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from ..layers.up_attention import UpAttention


class PLAM(nn.Module):
    """The attention of a skip: MLP([a, m, a + m]), a the mean and m the maximum over channels, no sigmoid.

    Mean and maximum have a 1x1 convolution and ReLU each before them; the MLP is 3 -> 6 -> 1 at each pixel.
    MPTPN's :class:`SkipGate` is this with one convolution for both.

    Args:
        channels: of the skip.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv_mean = ConvModule(channels, channels, 1, bias=False)
        self.conv_max = ConvModule(channels, channels, 1, bias=False)
        self.mlp = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1))

    def forward(self, skip: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 1, H, W), the factor of each pixel."""
        mean, most = self.conv_mean(skip).mean(1), self.conv_max(skip).amax(1)  # (B, H, W)
        return self.mlp(torch.stack([mean, most, mean + most], dim=-1)).permute(0, 3, 1, 2)


class PLAMUpBlock(UpAttention):
    """The decoder's UpCNN: the deeper map up-sampled 2x, the skip times its :class:`PLAM`, two ConvBN of both.

    MPTPN's UpAttention, whose convolutions these are, with the other gate.

    Args:
        deep_channels: of the deeper map.
        skip_channels: of the skip.
        out_channels: of the result.
        norm_cfg: of the convolutions.
    """

    def __init__(self, deep_channels: int, skip_channels: int, out_channels: int, norm_cfg: dict | None):
        super().__init__(deep_channels, skip_channels, out_channels, norm_cfg=norm_cfg)
        self.gate = PLAM(skip_channels)
