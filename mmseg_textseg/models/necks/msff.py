"""Multiscale feature fusion of MPTPN (3.3.1, Fig. 4)."""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn


class PatchMerging(nn.Module):
    """2 x 2 neighbours concatenated, normalised, projected: 4C -> 2C at half the size.

    Args:
        in_channels: C.
        out_channels: 2C by default.
    """

    def __init__(self, in_channels: int, out_channels: int | None = None):
        super().__init__()
        self.norm = nn.LayerNorm(4 * in_channels)
        self.linear = nn.Linear(4 * in_channels, out_channels or 2 * in_channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out_channels, ceil(H/2), ceil(W/2)); an odd side is padded with zeros."""
        if x.shape[2] % 2 or x.shape[3] % 2:  # padding by nothing would copy the map
            x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        x = rearrange(x, 'b c (h i) (w j) -> b h w (j i c)', i=2, j=2)  # the neighbours in Swin's order
        return self.linear(self.norm(x)).permute(0, 3, 1, 2)


class PatchExpanding(nn.Module):
    """Channels rearranged into 2 x 2 pixels, normalised, projected: C/4 -> C/2 at twice the size.

    Args:
        in_channels: C, a multiple of 4.
        out_channels: C/2 by default.
    """

    def __init__(self, in_channels: int, out_channels: int | None = None):
        super().__init__()
        if in_channels % 4:
            raise ValueError(f'patch expanding makes 2 x 2 pixels of the channels: {in_channels} is no multiple of 4')
        self.norm = nn.LayerNorm(in_channels // 4)
        self.linear = nn.Linear(in_channels // 4, out_channels or in_channels // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out_channels, 2H, 2W)."""
        x = rearrange(x, 'b (i j c) h w -> b (h i) (w j) c', i=2, j=2)
        return self.linear(self.norm(x)).permute(0, 3, 1, 2)


@MODELS.register_module()
class MSFF(BaseModule):
    """Each of three scales makes the other two; maps of one size are concatenated.

    As a neck on any backbone with three maps at strides s, 2s, 4s. With the paper's widths C, 2C, 4C, merging doubles
    and expanding halves them; other widths are projected to those of the scale that is made.

    Args:
        in_channels: widths of the three maps; the second and third multiples of 4.
        in_index: which of the backbone's maps they are.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (64, 128, 256),
        in_index: Sequence[int] = (0, 1, 2),
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        if len(in_channels) != 3 or len(in_index) != 3:
            raise ValueError(f'MSFF fuses three maps, got in_channels={in_channels} and in_index={in_index}')
        self.in_channels, self.in_index = tuple(in_channels), tuple(in_index)
        self.out_channels = tuple(3 * c for c in in_channels)
        c1, c2, c3 = in_channels
        self.merge12, self.merge123 = PatchMerging(c1, c2), PatchMerging(c2, c3)
        self.merge23, self.expand21 = PatchMerging(c2, c3), PatchExpanding(c2, c1)
        self.expand32, self.expand321 = PatchExpanding(c3, c2), PatchExpanding(c2, c1)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Multiscale features.

        Args:
            inputs: maps (B, C, H, W), (B, 2C, H/2, W/2), (B, 4C, H/4, W/4), sizes rounded up, at ``in_index``.

        Returns:
            (B, 3C, H, W), (B, 6C, H/2, W/2), (B, 12C, H/4, W/4); in each the map made of scale 1 comes first.
        """
        x1, x2, x3 = (inputs[i] for i in self.in_index)
        sizes = [tuple(x.shape[2:]) for x in (x1, x2, x3)]
        if any(tuple(-(-side // 2) for side in a) != b for a, b in itertools.pairwise(sizes)):
            raise ValueError(f'MSFF needs maps at strides s, 2s, 4s, got sizes {sizes}: check in_index')
        x1_2 = self.merge12(x1)
        x3_2 = _crop(self.expand32(x3), x2)
        scale1 = [x1, _crop(self.expand21(x2), x1), _crop(self.expand321(x3_2), x1)]
        scale2 = [x1_2, x2, x3_2]
        scale3 = [self.merge123(x1_2), self.merge23(x2), x3]
        return tuple(torch.cat(maps, dim=1) for maps in (scale1, scale2, scale3))


def _crop(x: Tensor, like: Tensor) -> Tensor:
    """An odd side comes back one too long."""
    return x[:, :, : like.shape[2], : like.shape[3]]
