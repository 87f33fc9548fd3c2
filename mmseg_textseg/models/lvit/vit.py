"""The U-shaped ViT of LViT (III-A), one level at a time. Its layers are those that MPTPN took over from it.

B batch, C_i channels of level i (C, 2C, 4C, 8C), N patches (the same number at every level), h w their grid, T tokens.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..backbones.u_transformer import Patches, conv_tokens, token_conv, transformer_layers


class DownViT(BaseModule):
    """A level of the way down: Y_1 = ViT(E(X_1), text), then Y_i = [ConvBN(ViT(E(X_i))), Y_i-1].

    E is the patch embedding of the CNN's map X_i, ViT is X' = MHSA(LN X) + X, MLP(LN X') + X'.

    Args:
        channels: C_i.
        patch_size: side of a patch of X_i.
        grid: (h, w) of the position embeddings, which are resized for other maps.
        first: the level that has no former one.
        mixing: at the first level, how the words enter the patches, (B, N, C), (B, T, C), (B, T) -> (B, N, C); None
            for no text.
        depth, num_heads, mlp_ratio: of the transformer.
        dropout: after the embedding and in the transformer.
    """

    def __init__(
        self,
        channels: int,
        patch_size: int,
        grid: tuple[int, int],
        first: bool,
        mixing: nn.Module | None = None,
        depth: int = 1,
        num_heads: int = 8,
        mlp_ratio: float = 4,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.patches = Patches(channels, patch_size, grid, dropout)
        self.mixing = mixing
        self.layers = transformer_layers(channels, depth, num_heads, mlp_ratio, dropout)
        self.narrow = None if first else token_conv(channels, channels // 2)

    def forward(
        self, x: Tensor, former: Tensor | None = None, words: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, tuple[int, int]]:
        """One level.

        Args:
            x: X_i (B, C_i, H_i, W_i).
            former: Y_i-1 (B, N, C_i / 2); None at the first level.
            words, mask: (B, T, C) and (B, T) bool, where there is a ``mixing``.

        Returns:
            Y_i (B, N, C_i) and the grid (h, w).
        """
        tokens, grid = self.patches(x)
        if self.mixing is not None:
            tokens = self.mixing(tokens, words, mask)
        tokens = self.layers(tokens)
        if self.narrow is not None:
            tokens = torch.cat([conv_tokens(self.narrow, tokens), former], dim=2)
        return tokens, grid


class UpViT(BaseModule):
    """A level of the way up: Z_i = ViT(Y_i) + ConvBN(Z_i+1), at the last level ViT(Y_i) alone.

    Args:
        channels: C_i; the deeper level has twice as many.
        last: the deepest level.
        depth, num_heads, mlp_ratio, dropout: of the transformer.
    """

    def __init__(
        self,
        channels: int,
        last: bool,
        depth: int = 1,
        num_heads: int = 8,
        mlp_ratio: float = 4,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.layers = transformer_layers(channels, depth, num_heads, mlp_ratio, dropout)
        self.narrow = None if last else token_conv(2 * channels, channels)

    def forward(self, tokens: Tensor, deeper: Tensor | None = None) -> Tensor:
        """Y_i (B, N, C_i) and Z_i+1 (B, N, 2 C_i) -> Z_i (B, N, C_i)."""
        tokens = self.layers(tokens)
        return tokens if self.narrow is None else tokens + conv_tokens(self.narrow, deeper)


class Reconstruct(BaseModule):
    """Patches back into the CNN's map: X_i + ReLU(BN(Conv1x1(UpSample(reshape(Z_i))))).

    The convolution comes first here: convolution, norm and ReLU act on each pixel alike and nearest up-sampling only
    repeats pixels, so it is the same with ``patch_size`` squared times fewer products.

    Args:
        channels: C_i.
        patch_size: side of a patch of X_i.
        norm_cfg: norm layer.
    """

    def __init__(self, channels: int, patch_size: int, norm_cfg: dict):
        super().__init__()
        self.patch_size = patch_size
        self.conv = ConvModule(channels, channels, 1, norm_cfg=norm_cfg)

    def forward(self, x: Tensor, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """X_i (B, C_i, H_i, W_i) and Z_i (B, h w, C_i) -> (B, C_i, H_i, W_i)."""
        y = self.conv(rearrange(tokens, 'b (h w) c -> b c h w', h=grid[0]))
        y = F.interpolate(y, scale_factor=self.patch_size, mode='nearest')
        return x + y[:, :, : x.shape[2], : x.shape[3]]
