"""Text into the maps of any backbone, neck or head, map by map.

B batch, C channels, H W size of a map, N = H W pixels, T tokens, C_l text width, M attention heads, D width of a head.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..backbones.svla import LanguageBranch
from ..text_features import TextFeatures


class TextFusion(nn.Module, ABC):
    """A map plus what the words say to each of its pixels: y = x + gain * words(x, text).

    The gain is learned, one value a channel: maps differ in size from backbone to backbone and stage to stage, and a
    channel may do without words. A norm after the sum would change what the backbone made where nothing is added; so a
    sentence without tokens leaves the map exactly as it is.

    Args:
        channels: C of the map.
        init_gain: where the gain starts. At 1 the words count from the first step, as in SVLA; a smaller one leaves
            pretrained maps nearly as they are at first.
    """

    def __init__(self, channels: int, init_gain: float = 1.0):
        super().__init__()
        self.gain = nn.Parameter(torch.full((channels,), float(init_gain)))

    @abstractmethod
    def words(self, x: Tensor, text: TextFeatures) -> Tensor:
        """What the words add, before the gain: (B, C, H, W); anything finite for a sentence without tokens."""

    def forward(self, x: Tensor, text: TextFeatures) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), in the memory layout of ``x``."""
        words = self.words(x, text)
        some = text.mask.any(1).to(words.dtype)[:, None, None, None]  # (B, 1, 1, 1)
        return x + self.gain.to(words.dtype)[:, None, None] * some * words


@MODELS.register_module()
class LanguageFusion(TextFusion):
    """SVLA's language branch (LSMS eq. 5-9) on one map: words found by attention, times the map itself (Pixel-Map).

    Its cost grows with C^2, at the widths of a ResNet-50 to 22 M parameters on three maps; see
    :class:`CrossAttentionFusion` for wide maps. Its instance norms make nothing of a 1 x 1 map.

    Args:
        channels: C of the map.
        text_channels: C_l of the tokens.
        language_scale, pixel_map, gate: of the branch, see :class:`LanguageBranch`.
        init_gain: see :class:`TextFusion`.
    """

    def __init__(
        self,
        channels: int,
        text_channels: int,
        language_scale: Literal['text', 'visual'] = 'text',
        pixel_map: bool = True,
        gate: bool = False,
        init_gain: float = 1.0,
    ):
        super().__init__(channels, init_gain)
        self.language = LanguageBranch(channels, text_channels, language_scale, pixel_map, gate)

    def words(self, x: Tensor, text: TextFeatures) -> Tensor:
        return self.language(x, text)


@MODELS.register_module()
class CrossAttentionFusion(TextFusion):
    """Multi-head cross-attention on one map: pixels are queries, tokens keys and values.

    Layer norm stands before the queries (pre-norm), as maps of different backbones and stages have different sizes and
    the softmax should not depend on them; tokens leave BERT normalised. Keys and values have no bias: the softmax
    ignores the one, and the other would be a word that is in every sentence.

    Args:
        channels: C of the map.
        text_channels: C_l of the tokens.
        num_heads: M.
        embed_channels: M D, the width in which pixels and words meet; C by default, at most 256.
        init_gain: see :class:`TextFusion`.
    """

    def __init__(
        self,
        channels: int,
        text_channels: int,
        num_heads: int = 8,
        embed_channels: int | None = None,
        init_gain: float = 1.0,
    ):
        super().__init__(channels, init_gain)
        width = min(channels, 256) if embed_channels is None else embed_channels
        if num_heads < 1 or width % num_heads:
            raise ValueError(
                f'CrossAttentionFusion on a map of {channels} channels is {width} wide, which {num_heads} heads do not '
                'divide: set num_heads, or embed_channels to a multiple of it'
            )
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, width, bias=False)
        self.key = nn.Linear(text_channels, width, bias=False)
        self.value = nn.Linear(text_channels, width, bias=False)
        self.out = nn.Linear(width, channels, bias=False)

    def words(self, x: Tensor, text: TextFeatures) -> Tensor:
        pixels = self.norm(rearrange(x, 'b c h w -> b (h w) c'))  # a view where the map is channels-last
        query, key, value = (
            rearrange(y, 'b n (m d) -> b m n d', m=self.num_heads)
            for y in (self.query(pixels), self.key(text.tokens), self.value(text.tokens))
        )
        # A sentence without tokens attends to its padding, and forward drops the result: a row of which nothing may
        # be seen is NaN or zero, depending on the kernel.
        seen = text.mask | ~text.mask.any(1, keepdim=True)  # (B, T)
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=seen[:, None, None, :])  # (B, M, N, D)
        found = self.out(rearrange(found, 'b m n d -> b n (m d)'))
        return rearrange(found, 'b (h w) c -> b c h w', h=x.shape[2])


class TextFusions(nn.ModuleList):
    """A fusion of its own for each of several maps.

    Args:
        owner: of the fusions, for errors.
        fusion: config of each without its widths, e.g. ``dict(type='LanguageFusion')``.
        in_channels: widths of the maps that are fused.
        in_index: which of the inputs they are.
        text_channels: C_l of the tokens.

    Raises:
        ValueError: no ``text_channels``, no type, or as many widths as indices are not given.
    """

    def __init__(
        self,
        owner: str,
        fusion: dict,
        in_channels: Sequence[int],
        in_index: Sequence[int],
        text_channels: int | None,
    ):
        if text_channels is None:
            raise ValueError(f'{owner} that fuses text needs text_channels, the width of the text encoder')
        if not fusion.get('type'):
            raise ValueError(
                f"{owner}: a fusion needs a type, 'LanguageFusion' or 'CrossAttentionFusion'; got {fusion}"
            )
        if len(in_channels) != len(in_index):
            raise ValueError(f'{owner}: a width for each fused map, got {list(in_channels)} and in_index={in_index}')
        super().__init__(MODELS.build({**fusion, 'channels': c, 'text_channels': text_channels}) for c in in_channels)
        self.owner = owner
        self.in_index = tuple(in_index)

    def forward(self, inputs: Sequence[Tensor], text: TextFeatures | None) -> tuple[Tensor, ...]:
        """All inputs, with text in those at ``in_index``.

        Raises:
            ValueError: no text.
        """
        if text is None:
            raise ValueError(
                f'{self.owner} fuses text and got none: give it text=TextFeatures(...), in a model '
                "dict(type='TextEncoderDecoder', text_encoder=...)"
            )
        maps = list(inputs)
        for i, fuse in zip(self.in_index, self, strict=True):
            maps[i] = fuse(inputs[i], text)
        return tuple(maps)
