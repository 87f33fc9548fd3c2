"""Pixel-word attention and language gate of LAVT (Yang et al., CVPR 2022, 3.2 and 3.3).

B batch, N pixels, C channels of a stage, T tokens, C_t text width. Swin passes pixels as rows (B, N, C), on which a
1 x 1 convolution is a linear layer.
"""

import math

import torch
from einops import rearrange
from mmcv.cnn import build_activation_layer
from torch import Tensor, nn

from ..layers.norm import InstanceNorm
from ..text_features import TextFeatures


class PixelWordAttention(nn.Module):
    """PWAM: each pixel gathers its words, and the result is multiplied with the pixel (3.2).

    The four linear layers of the attention have no bias, as each would cancel exactly: the key's adds one number to
    all of a pixel's scores, which the softmax takes off; the others add one number to all pixels of a channel, which
    the instance norm takes off.

    Args:
        channels: C of the stage.
        text_channels: C_t of the tokens.
        num_heads: heads of the attention, one in the paper.
        act_cfg: activation of the two projections around the product.

    Raises:
        ValueError: ``channels`` cannot be divided among the heads.
    """

    def __init__(self, channels: int, text_channels: int, num_heads: int = 1, act_cfg: dict = dict(type='ReLU')):
        super().__init__()
        if channels % num_heads:
            raise ValueError(f'{channels} channels cannot be divided among {num_heads} heads of pixel-word attention')
        self.num_heads = num_heads
        self.scale = 1 / math.sqrt(channels // num_heads)
        self.query = nn.Linear(channels, channels, bias=False)
        self.key = nn.Linear(text_channels, channels, bias=False)
        self.value = nn.Linear(text_channels, channels, bias=False)
        self.project_words = nn.Linear(channels, channels, bias=False)
        self.norm = InstanceNorm()
        self.project_pixels = nn.Sequential(nn.Linear(channels, channels), build_activation_layer(act_cfg))
        self.out = nn.Sequential(nn.Linear(channels, channels), build_activation_layer(act_cfg))

    def _normalised(self, x: Tensor) -> Tensor:
        """Instance norm over the pixels of (B, N, C), seen as a channels-last map of N x 1."""
        return self.norm(x.transpose(1, 2)[..., None])[..., 0].transpose(1, 2)

    def _split(self, x: Tensor) -> Tensor:
        return rearrange(x, 'b n (h c) -> b h n c', h=self.num_heads)

    def attention(self, pixels: Tensor, text: TextFeatures) -> Tensor:
        """Word weights of each pixel, softmax(Q K^T / sqrt(C)), over the words that are not padding.

        Returns:
            (B, heads, N, T); zero on padding, and for a sentence without tokens.
        """
        query = self._split(self._normalised(self.query(pixels)))
        score = torch.matmul(query, self._split(self.key(text.tokens)).transpose(2, 3)) * self.scale  # (B, h, N, T)
        keep = text.mask[:, None, None, :]
        # The lowest number instead of -inf: a row without any token must not become NaN.
        score = score.masked_fill(~keep, torch.finfo(score.dtype).min)
        return score.softmax(-1) * keep.to(score.dtype)

    def forward(self, pixels: Tensor, text: TextFeatures) -> Tensor:
        """V (B, N, C) -> F (B, N, C)."""
        words = torch.matmul(self.attention(pixels, text), self._split(self.value(text.tokens)))  # (B, h, N, c)
        words = self._normalised(self.project_words(rearrange(words, 'b h n c -> b n (h c)')))
        return self.out(self.project_pixels(pixels) * words)


class LanguageGate(nn.Module):
    """How much of F each pixel and channel hands on to the next stage: S * F with S in (-1, 1) (3.3).

    Args:
        channels: C of the stage.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weights = nn.Sequential(
            nn.Linear(channels, channels, bias=False),
            nn.ReLU(),
            nn.Linear(channels, channels, bias=False),
            nn.Tanh(),
        )

    def forward(self, fused: Tensor) -> Tensor:
        """F (B, N, C) -> S * F (B, N, C)."""
        return self.weights(fused) * fused
