"""Prior prompt encoder of MPTPN (3.2.2, eq. 1-7, Fig. 3).

B batch, C channels of the first scale, N patches (the same number at every scale), h w their grid, T tokens.
"""

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from mmcv.cnn import ConvModule
from mmengine.logging import print_log
from mmengine.model import ModuleList
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..layers.checkpointing import checkpointed
from ..layers.strict_init import StrictInitModule
from ..text_features import TextFeatures
from .text_branch import PatchTextMixin
from .u_transformer import (
    AttentionMixing,
    ConvMixing,
    Patches,
    TextConvs,
    conv_tokens,
    resize_position,
    token_conv,
    transformer_layers,
)


@MODELS.register_module()
class PPE(PatchTextMixin, StrictInitModule):
    """Prior prompt encoder: a convolutional image branch and a U-shaped transformer that text enters.

    Three maps at strides 1, 2 and 4, each C_i = C, 2C, 4C wide: single-scale multimodality features.

    Args:
        base_channels: C; 64 in the paper.
        img_size: side, or (height, width), of the images. With ``token_mixing='conv'`` and text it is the only size
            that is taken; else the size of the position embeddings, which are resized for others.
        text_channels: width of the text tokens; None is the text-free mode, without text branch.
        num_text_tokens: T, the most tokens that ``token_mixing='conv'`` takes; shorter sentences are padded.
        token_mixing: how text meets the first patches: ``'conv'`` as eq. 3, which ties T and the image's size;
            ``'attention'`` by masked cross-attention, which takes any.
        pool: max pooling ``'after'`` the ConvBN of a DownBlock, as eq. 1 is printed, or ``'before'`` two of them,
            as the authors released it.
        patch_size: of the first scale, a multiple of 4; a half and a quarter at the others, so that N is one.
        depth: transformer layers in each DownViT and UpViT.
        num_heads, mlp_ratio: of the transformers.
        dropout: after patch embedding, attention and in the MLP.
        down_vit: False leaves the DownViTs out but for their patches and text (Table 3).
        up_vit: False leaves the UpViTs out (Table 3).
        in_channels: of the image.
        with_cp: gradient checkpointing of the image branch, whose maps are as large as the image: its activations are
            computed again in backward instead of being kept, with the same gradients and running statistics.
        frozen: not trained in stage 2: no gradient, batch norm and dropout as in evaluation.
        norm_cfg: norm layer of the 2-D convolutions.
        init_cfg: ``dict(type='StrictPretrained', checkpoint=<of stage 1>, prefix='backbone.')``. mmengine's
            ``'Pretrained'`` is taken as that too.
    """

    STRIDES = (1, 2, 4)
    # For the error of a checkpoint that does not fit.
    variant_options = "each of base_channels, text_channels, token_mixing, patch_size, pool (with 'conv' img_size too)"

    def __init__(
        self,
        base_channels: int = 64,
        img_size: int | tuple[int, int] = 224,
        text_channels: int | None = 768,
        num_text_tokens: int = 10,
        token_mixing: Literal['conv', 'attention'] = 'conv',
        pool: Literal['after', 'before'] = 'after',
        patch_size: int = 16,
        depth: int = 1,
        num_heads: int = 8,
        mlp_ratio: float = 4,
        dropout: float = 0.1,
        down_vit: bool = True,
        up_vit: bool = True,
        in_channels: int = 3,
        frozen: bool = False,
        norm_cfg: dict = dict(type='BN', requires_grad=True),
        init_cfg: dict | None = None,
        with_cp: bool = False,
    ):
        super().__init__(init_cfg)
        if token_mixing not in ('conv', 'attention'):
            raise ValueError(f"token_mixing must be 'conv' or 'attention', got {token_mixing!r}")
        if pool not in ('after', 'before'):
            raise ValueError(f"pool must be 'after' or 'before', got {pool!r}")
        if patch_size < 4 or patch_size % 4:
            raise ValueError(
                f'patch_size must be a multiple of 4, as the third scale has a quarter of it: {patch_size}'
            )
        if base_channels % num_heads:
            raise ValueError(f'base_channels={base_channels} must be a multiple of num_heads={num_heads}')
        if frozen and init_cfg is None:
            raise ValueError('PPE(frozen=True) needs init_cfg with a checkpoint of stage 1: random weights stay random')
        self.img_size = (img_size, img_size) if isinstance(img_size, int) else tuple(img_size)
        self.text_channels = text_channels
        tied = text_channels is not None and token_mixing == 'conv'
        self.num_text_tokens = num_text_tokens if tied else None
        self.frozen = frozen
        self.with_cp = with_cp
        widths = self.out_channels = (base_channels, 2 * base_channels, 4 * base_channels)
        self.patch_sizes = tuple(patch_size // stride for stride in self.STRIDES)
        self.grid = tuple(-(-side // patch_size) for side in self.img_size)

        # Image branch, eq. 1.
        conv = dict(kernel_size=3, padding=1, norm_cfg=norm_cfg)
        self.stem = ConvModule(in_channels, widths[0], **conv)
        halve = nn.MaxPool2d(2, ceil_mode=True)
        self.down_blocks = nn.ModuleList(
            nn.Sequential(ConvModule(i, o, **conv), halve)
            if pool == 'after'
            else nn.Sequential(halve, ConvModule(i, o, **conv), ConvModule(o, o, **conv))
            for i, o in ((widths[0], widths[1]), (widths[1], widths[2]))
        )
        # Text branch, eq. 2, and where it meets the patches, eq. 3.
        if text_channels is not None:
            self.text_convs = TextConvs(text_channels, base_channels)
            self.mixing = (
                ConvMixing(num_text_tokens, self.grid[0] * self.grid[1])
                if tied
                else AttentionMixing(base_channels, num_heads)
            )
        # U-shaped transformer, eq. 3-6.
        # mmengine's list: PyTorch's would keep their init_weights from being called.
        self.patches = ModuleList(
            Patches(c, size, self.grid, dropout) for c, size in zip(widths, self.patch_sizes, strict=True)
        )
        settings = dict(depth=depth, num_heads=num_heads, mlp_ratio=mlp_ratio, dropout=dropout)
        self.down_vits = self.up_vits = None
        if down_vit:
            self.down_vits = nn.ModuleList(transformer_layers(c, **settings) for c in widths)
            self.down_convs = nn.ModuleList(token_conv(c, c // 2) for c in widths[1:])
        if up_vit:
            self.up_vits = nn.ModuleList(transformer_layers(c, **settings) for c in widths)
            self.up_convs = nn.ModuleList(token_conv(c, c // 2) for c in widths[1:])
        # Fusion, eq. 7.
        self.fusion = nn.ModuleList(ConvModule(c, c, 1, norm_cfg=norm_cfg) for c in widths)
        if frozen:
            self.requires_grad_(False)
            self.eval()

    def train(self, mode: bool = True) -> 'PPE':
        """Switch batch norm and dropout; a frozen encoder stays in evaluation mode."""
        return super().train(mode and not self.frozen)

    def adapt_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A checkpoint's state with its position embeddings resized to this model's grid."""
        state = dict(state)
        for key in [k for k in state if k.endswith('.position') and state[k].dim() == 4]:
            if tuple(state[key].shape[2:]) != self.grid:
                print_log(f'PPE: {key} resized from {tuple(state[key].shape[2:])} to {self.grid}', logger='current')
                state[key] = resize_position(state[key], self.grid)
        return state

    def forward(self, x: Tensor, text: TextFeatures | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Single-scale multimodality features.

        Args:
            x: images (B, 3, H, W).
            text: encoded sentences; required in text mode, refused in text-free mode.

        Returns:
            Maps (B, C, H, W), (B, 2C, H/2, W/2), (B, 4C, H/4, W/4), sizes rounded up, channels-last.

        Raises:
            ValueError: text where there must be none or none where there must be; with ``token_mixing='conv'``
                another image size or more tokens than it was built for.
        """
        self._check(x, text)
        x = x.contiguous(memory_format=torch.channels_last)
        maps = []
        for block in (self.stem, *self.down_blocks):
            x = checkpointed(block, x) if self.with_cp else block(x)
            maps.append(x)
        embedded = [embed(m) for embed, m in zip(self.patches, maps, strict=True)]
        grid = embedded[0][1]
        tokens = [t for t, _ in embedded]
        if text is not None:
            tokens[0] = self.mixing(tokens[0], self._words(text), text.mask)
        tokens = self._up(self._down(tokens))
        fused = zip(maps, tokens, self.fusion, self.patch_sizes, strict=True)
        return tuple(self._fuse(m, t, grid, conv, size) for m, t, conv, size in fused)

    def _down(self, tokens: list[Tensor]) -> list[Tensor]:
        """DownViT, eq. 3-4: patches -> Y_1, Y_2, Y_3, each (B, N, C_i)."""
        if self.down_vits is None:
            return tokens
        y = [self.down_vits[0](tokens[0])]
        for vit, conv, patches in zip(self.down_vits[1:], self.down_convs, tokens[1:], strict=True):
            y.append(torch.cat([conv_tokens(conv, vit(patches)), y[-1]], dim=2))
        return y

    def _up(self, tokens: list[Tensor]) -> list[Tensor]:
        """UpViT, eq. 5-6: from the third scale to the first."""
        if self.up_vits is None:
            return tokens
        y1, y2, y3 = (vit(t) for vit, t in zip(self.up_vits, tokens, strict=True))
        y2 = y2 + conv_tokens(self.up_convs[1], y3)
        y1 = y1 + conv_tokens(self.up_convs[0], y2)
        return [y1, y2, y3]

    @staticmethod
    def _fuse(x: Tensor, tokens: Tensor, grid: tuple[int, int], conv: nn.Module, patch_size: int) -> Tensor:
        """X_i + ConvBN(UpSample(reshape(Y_i))), eq. 7, of the size of ``x``.

        A 1x1 convolution, batch norm and ReLU act on each pixel alike and nearest up-sampling only repeats pixels, so
        they come first here: the same output, ``patch_size`` squared times fewer products.
        """
        y = conv(rearrange(tokens, 'b (h w) c -> b c h w', h=grid[0]))
        # On one thread PyTorch's 1x1 convolution leaves channels-last; here it is small, the sum is not.
        y = y.contiguous(memory_format=torch.channels_last)
        y = F.interpolate(y, scale_factor=patch_size, mode='nearest')
        return x + y[:, :, : x.shape[2], : x.shape[3]]
