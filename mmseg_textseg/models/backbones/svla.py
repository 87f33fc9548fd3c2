"""Scale-aware vision-language attention (LSMS III-C) and its encoder block (III-B).

B batch, C channels, H W size of a stage's map, N = H W pixels, T tokens, C_l text width.
The modules and their names are those of MMSegmentation's MSCAN plus a language branch, so that
SegNeXt weights fit key for key.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from mmseg.models.backbones.mscan import MSCAAttention, MSCABlock
from torch import Tensor, nn

from ..layers.norm import InstanceNorm, centred, inverse_deviation, normed_product
from ..layers.strip_conv import row_conv
from ..text_features import TextFeatures


class LanguageBranch(nn.Module):
    """Language-guided branch of SVLA, eq. 5-9: which words each pixel attends to.

    Args:
        channels: C of the map.
        text_channels: C_l of the tokens.
        scale: what the dot products are divided by: ``'text'`` sqrt(C_l) as printed in eq. 8,
            ``'visual'`` sqrt(C) as in the precursor SLViT.
        pixel_map: False leaves the product with w_v2(V_pre) out of eq. 9 (Table III b, no "PM").
        gate: True lets a gate decide channel by channel, pixel by pixel, how much of the words goes on, as in
            SLViT (Ouyang et al., IJCAI 2023) and LAVT before it: A becomes tanh(W_2 relu(W_1 A)) * A.
    """

    def __init__(
        self,
        channels: int,
        text_channels: int,
        scale: Literal['text', 'visual'] = 'text',
        pixel_map: bool = True,
        gate: bool = False,
    ):
        super().__init__()
        if scale not in ('text', 'visual'):
            raise ValueError(f"scale must be 'text' or 'visual', got {scale!r}")
        # Without biases, which the norms would take off again.
        self.v1 = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), InstanceNorm())
        self.v2 = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), InstanceNorm()) if pixel_map else None
        # A 1x1 convolution over tokens is a linear layer on their last dimension.
        self.l1 = nn.Linear(text_channels, channels)
        self.l2 = nn.Linear(text_channels, channels)
        self.out = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), InstanceNorm())
        self.gate = None
        if gate:
            inner, outer = (nn.Conv2d(channels, channels, 1, bias=False) for _ in range(2))
            self.gate = nn.Sequential(inner, nn.ReLU(), outer, nn.Tanh())
        self.scale = 1 / math.sqrt(text_channels if scale == 'text' else channels)

    def attention(self, pre: Tensor, text: TextFeatures) -> Tensor:
        """Word weights of each pixel, eq. 7-8: (B, N, T); zero on padding, and for a sentence without tokens."""
        return self._attention(centred(pre), text)

    def _attention(self, centre: Tensor, text: TextFeatures) -> Tensor:
        """:meth:`attention` of the centred map: a convolution without bias keeps it centred."""
        query = F.conv2d(centre, self.v1[0].weight)
        # What normalises the queries channel by channel is as well multiplied into the few keys.
        factor = self.scale * inverse_deviation(query, self.v1[1].eps)  # (B, 1, C)
        keys = (self.l1(text.tokens) * factor).to(query.dtype)
        # A view where the map is channels-last.
        query = rearrange(query, 'b c h w -> b (h w) c')
        score = torch.matmul(query, keys.transpose(1, 2))  # (B, N, T)
        keep = text.mask[:, None, :]  # (B, 1, T)
        # The lowest number instead of -inf: a row without any token must not become NaN.
        score = score.masked_fill(~keep, torch.finfo(score.dtype).min)
        return score.softmax(-1) * keep.to(score.dtype)

    def forward(self, pre: Tensor, text: TextFeatures, onto: Tensor | None = None) -> Tensor:
        """(B, C, H, W) -> Att_L of the same shape; with ``onto``, of that shape too, onto + Att_L, in place.

        Equal to eq. 5-9, with fewer products and passes over the map: w_out is linear and acts on few tokens instead
        of N pixels, A (L W_out); and of the three instance norms the mean is taken from the map before its
        convolution or from A, the variance is multiplied into tokens.
        """
        centre = centred(pre)
        weights = self._attention(centre, text)  # (B, N, T)
        values = F.linear(self.l2(text.tokens), self.out[0].weight.flatten(1))  # (B, T, C)
        weights, values = normed_product(weights, values, self.out[1].eps)
        pixel_map = None
        if self.v2 is not None:
            pixel_map = F.conv2d(centre, self.v2[0].weight)
            factor = inverse_deviation(pixel_map, self.v2[1].eps)  # (B, 1, C)
            # Two of them, up to 1 / eps together, would overflow a half type.
            if self.gate is None and pixel_map.dtype in (torch.float32, torch.float64):
                values = values * factor
            else:
                pixel_map = pixel_map * rearrange(factor, 'b 1 c -> b c 1 1').to(pixel_map.dtype)
        words = torch.matmul(weights, values.to(weights.dtype))  # (B, N, T) x (B, T, C) -> (B, N, C)
        words = rearrange(words, 'b (h w) c -> b c h w', h=pre.shape[2])
        if self.gate is not None:
            words = self.gate(words) * words
        if onto is None:
            return words if pixel_map is None else words * pixel_map  # eq. 9
        return onto.add_(words) if pixel_map is None else onto.addcmul_(words, pixel_map)


class SVLA(MSCAAttention):
    """Comprehensive attention, eq. 4 and 10.

    Args:
        channels: C of the map.
        text_channels: C_l of the tokens; None builds no language branch.
        kernel_sizes: lengths d_j of the strip convolutions, one ConvUnit each.
        language_scale, pixel_map, gate: see :class:`LanguageBranch`.
    """

    def __init__(
        self,
        channels: int,
        text_channels: int | None,
        kernel_sizes: Sequence[int] = (7, 11, 21),
        language_scale: Literal['text', 'visual'] = 'text',
        pixel_map: bool = True,
        gate: bool = False,
    ):
        even = [k for k in kernel_sizes if k % 2 == 0]
        if even or not kernel_sizes:
            raise ValueError(f'kernel_sizes must be odd and at least one, got {tuple(kernel_sizes)}')
        super().__init__(channels, [5, *([1, k] for k in kernel_sizes)], [2, *([0, k // 2] for k in kernel_sizes)])
        self.num_units = len(kernel_sizes)
        self.language = None
        if text_channels is not None:
            self.language = LanguageBranch(channels, text_channels, language_scale, pixel_map, gate)

    def forward(self, x: Tensor, text: TextFeatures | None = None) -> Tensor:
        """V (B, C, H, W) -> F_att of the same shape."""
        pre = self.conv0(x)
        attention = None
        for unit in range(self.num_units):
            strips = getattr(self, f'conv{unit}_2')(row_conv(getattr(self, f'conv{unit}_1'), pre))
            # In place: autograd keeps the inputs of convolutions, not their sums.
            attention = strips.add_(pre) if attention is None else attention.add_(strips)
        if self.language is not None:
            attention = self.language(pre, text, onto=attention)
        return self.conv3(attention) * x


class SVLABlock(MSCABlock):
    """Encoder block on maps; no flattening to tokens and back.

    ``norm_position='pre'`` is SegNeXt's block (its weights belong to it) with SVLA as the attention;
    ``'post'`` is eq. 2-3 as printed, F' = Norm(SVLA(V, L) + V), F = Norm(FFN(F') + F'), which has neither
    the two 1x1 convolutions around the attention nor layer scale.

    Args:
        channels: C of the map.
        text_channels: C_l, None for text-free.
        kernel_sizes: ConvUnits of the attention.
        mlp_ratio: hidden width of the feed-forward network over C.
        drop_path: probability of skipping a branch in training.
        norm_position: ``'pre'`` or ``'post'``.
        language_scale: see :class:`LanguageBranch`.
        norm_cfg: norm layer of the block.
        pixel_map, gate: see :class:`LanguageBranch`.
    """

    def __init__(
        self,
        channels: int,
        text_channels: int | None,
        kernel_sizes: Sequence[int],
        mlp_ratio: float,
        drop_path: float,
        norm_position: Literal['pre', 'post'],
        language_scale: Literal['text', 'visual'],
        norm_cfg: dict,
        pixel_map: bool = True,
        gate: bool = False,
    ):
        super().__init__(channels, mlp_ratio=mlp_ratio, drop_path=drop_path, norm_cfg=norm_cfg)
        self.norm_position = norm_position
        svla = SVLA(channels, text_channels, kernel_sizes, language_scale, pixel_map, gate)
        if norm_position == 'pre':
            self.attn.spatial_gating_unit = svla
        else:
            self.attn = nn.ModuleDict({'spatial_gating_unit': svla})
            del self.layer_scale_1, self.layer_scale_2

    def forward(self, x: Tensor, text: TextFeatures | None = None) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        if self.norm_position == 'post':
            x = self.norm1(x + self.drop_path(self.attn['spatial_gating_unit'](x, text)))
            return self.norm2(x + self.drop_path(self.mlp(x)))
        y = self.norm1(x)
        attended = self.attn.activation(self.attn.proj_1(y))
        attended = self.attn.proj_2(self.attn.spatial_gating_unit(attended, text)) + y
        x = self._add(x, self.layer_scale_1, attended)
        return self._add(x, self.layer_scale_2, self.mlp(self.norm2(x)))

    def _add(self, x: Tensor, scale: Tensor, branch: Tensor) -> Tensor:
        """x + drop_path(scale * branch) in one pass over the map."""
        kept = self.drop_path(x.new_ones(x.shape[0], 1, 1, 1))
        return torch.addcmul(x, kept * scale[:, None, None], branch)
