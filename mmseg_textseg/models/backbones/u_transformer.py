"""Parts of the text branch of PPE (MPTPN 3.2.2, eq. 2-6): text convolutions, patches, and how text meets them.

B batch, C channels of the first scale, N patches (the same number at every scale), h w their grid, T tokens.
"""

import itertools

import torch
import torch.nn.functional as F
from einops import rearrange
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, trunc_normal_init
from mmseg.models.backbones.vit import TransformerEncoderLayer
from mmseg.models.utils import PatchEmbed, resize
from torch import Tensor, nn

from ..text_features import TextFeatures


def token_conv(in_channels: int, out_channels: int) -> ConvModule:
    """ConvBN of eq. 3, 4 and 6, ReLU(BN(Conv1d())): (B, in_channels, L) -> (B, out_channels, L)."""
    return ConvModule(in_channels, out_channels, 3, padding=1, conv_cfg=dict(type='Conv1d'), norm_cfg=dict(type='BN1d'))


def conv_tokens(conv: nn.Module, tokens: Tensor) -> Tensor:
    """A :func:`token_conv` along the patches: (B, N, C) -> (B, N, C')."""
    return conv(tokens.transpose(1, 2)).transpose(1, 2)


def transformer_layers(channels: int, depth: int, num_heads: int, mlp_ratio: float, dropout: float) -> nn.Sequential:
    """Y' = MSA(LN Y) + Y, Y = MLP(LN Y') + Y' (eq. 3, 5), ``depth`` times, on (B, N, channels)."""
    return nn.Sequential(
        *(TransformerLayer(channels, num_heads, int(mlp_ratio * channels), drop_rate=dropout) for _ in range(depth))
    )


class TransformerLayer(TransformerEncoderLayer):
    """MMSegmentation's layer, which asks for the weights of its attention and drops them; this one does not."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        attention, y = self.attn.attn, self.norm1(x)
        qkv = F.linear(y, attention.in_proj_weight, attention.in_proj_bias)
        q, k, v = qkv.unflatten(2, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)  # (B, heads, N, C / heads)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=attention.dropout if self.training else 0.0)
        y = attention.out_proj(y.transpose(1, 2).flatten(2))
        x = x + self.attn.dropout_layer(self.attn.proj_drop(y))
        return self.ffn(self.norm2(x), identity=x)


class TextConvs(nn.Module):
    """Eq. 2: X_text,4 .. X_text,1, four plain convolutions over the tokens, text_channels -> 8C -> 4C -> 2C -> C.

    Args:
        text_channels: width of the tokens.
        channels: C.
    """

    def __init__(self, text_channels: int, channels: int):
        super().__init__()
        widths = [text_channels, 8 * channels, 4 * channels, 2 * channels, channels]
        self.convs = nn.ModuleList(nn.Conv1d(i, o, 3, padding=1) for i, o in itertools.pairwise(widths))

    def forward(self, text: TextFeatures) -> Tensor:
        """X_text,1 (B, T, C), zero on padding."""
        # Biases would fill padding, from where the next convolution carried it into real tokens.
        keep = text.mask[:, None].to(text.tokens.dtype)  # (B, 1, T)
        x = text.tokens.transpose(1, 2) * keep
        for conv in self.convs:
            x = conv(x) * keep
        return x.transpose(1, 2)


class ConvMixing(nn.Module):
    """Eq. 3 as printed: X_p + ConvBN(X_text,1), a Conv1d whose channels are tokens in and patches out.

    Args:
        num_tokens: T.
        num_patches: N.
    """

    def __init__(self, num_tokens: int, num_patches: int):
        super().__init__()
        self.conv = token_conv(num_tokens, num_patches)

    def forward(self, patches: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """(B, N, C) and (B, T, C) -> (B, N, C); ``mask`` is not needed, padding being zero."""
        return patches + self.conv(text)


class AttentionMixing(nn.Module):
    """In the place of eq. 3's ConvBN: every patch attends to the real tokens. Takes any T and any N.

    Args:
        channels: C.
        num_heads: attention heads.
    """

    def __init__(self, channels: int, num_heads: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(channels, num_heads, batch_first=True)

    def forward(self, patches: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """(B, N, C), (B, T, C) and (B, T) bool -> (B, N, C); a sentence without tokens adds nothing."""
        words, _ = self._attend(patches, text, mask, need_weights=False)
        return patches + words * mask.any(1)[:, None, None].to(words.dtype)

    def weights(self, patches: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """Word weights of each patch, mean over heads: (B, N, T); zero on padding, and for a sentence without tokens.

        Not needed by ``forward``: for pictures.
        """
        return self._attend(patches, text, mask, need_weights=True)[1] * mask[:, None].to(patches.dtype)

    def _attend(self, patches: Tensor, text: Tensor, mask: Tensor, need_weights: bool) -> tuple[Tensor, Tensor | None]:
        # A row that masks everything would make its softmax NaN.
        hidden = ~(mask | ~mask.any(1, keepdim=True))
        return self.attention(self.norm(patches), text, text, key_padding_mask=hidden, need_weights=need_weights)


class PatchProjection(PatchEmbed):
    """MMSegmentation's patch embedding, its convolution done as the product of patches and weights that it is.

    In bfloat16 on a CPU, PyTorch 2.13's convolution of few channels with a large kernel and stride is wrong (16
    channels, 16 x 16: off by more than the values themselves).
    """

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """(B, C, H, W) -> (B, N, C'), (h, w)."""
        conv = self.projection
        x = self.adap_padding(x)
        p, q = conv.kernel_size
        grid = (x.shape[2] // p, x.shape[3] // q)
        x = rearrange(x, 'b c (h p) (w q) -> b (h w) (p q c)', p=p, q=q)
        return F.linear(x, rearrange(conv.weight, 'o c p q -> o (p q c)'), conv.bias), grid


class Patches(BaseModule):
    """PatchEmbedding of a map, with position embeddings that are resized where the map has another size.

    Args:
        channels: C_i of the map and of its patches.
        patch_size: side of a patch.
        grid: (h, w) of the position embeddings.
        dropout: after the embedding.
    """

    def __init__(self, channels: int, patch_size: int, grid: tuple[int, int], dropout: float):
        super().__init__()
        self.embed = PatchProjection(channels, channels, kernel_size=patch_size)
        self.position = nn.Parameter(torch.empty(1, channels, *grid))
        self.dropout = nn.Dropout(dropout)
        nn.init.trunc_normal_(self.position, std=0.02)

    def init_weights(self) -> None:
        """ViT's: small normal numbers."""
        trunc_normal_init(self.embed.projection, std=0.02, bias=0)
        nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """(B, C_i, H_i, W_i) -> (B, N, C_i), (h, w); a map that patches do not fill is padded at right and bottom."""
        tokens, grid = self.embed(x)
        return self.dropout(tokens + rearrange(resize_position(self.position, grid), '1 c h w -> 1 (h w) c')), grid


def resize_position(position: Tensor, grid: tuple[int, int]) -> Tensor:
    """Position embeddings (1, C, h', w') for another grid: (1, C, *grid), bicubic."""
    if tuple(position.shape[2:]) == tuple(grid):
        return position
    return resize(position, size=tuple(grid), mode='bicubic', align_corners=False)
