"""Encoder of LViT (Li et al., IEEE TMI 2023, arXiv 2206.14718, III-A): a U-shaped CNN's way down, a U-shaped ViT."""

import itertools
from typing import Literal

import torch
from mmcv.cnn import ConvModule
from mmengine.model import ModuleList
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..backbones.text_branch import PatchTextMixin
from ..backbones.u_transformer import AttentionMixing, ConvMixing, TextConvs
from ..layers.strict_init import StrictInitModule
from ..text_features import TextFeatures
from .vit import DownViT, Reconstruct, UpViT


@MODELS.register_module()
class LViT(PatchTextMixin, StrictInitModule):
    """CNN encoder with five maps, a U-shaped ViT beside the first four, in which the text enters at the first.

    Maps at strides 1, 2, 4, 8, 16, C, 2C, 4C, 8C, 8C wide; what the ViT says is added to the first four. The other
    half of the CNN is :class:`LViTHead`.

    Args:
        base_channels: C; 64 in the paper.
        img_size: side, or (height, width), of the images. With ``token_mixing='conv'`` and text it is the only size
            that is taken; else the size of the position embeddings, which are resized for others.
        text_channels: width of the text tokens; None is the text-free mode, without text branch.
        num_text_tokens: T, the most tokens that ``token_mixing='conv'`` takes; shorter sentences are padded.
        token_mixing: how text meets the first patches: ``'conv'``, the paper's, adds ReLU(BN(Conv1d(text))), a
            convolution with tokens as channels in and patches as channels out, which ties T and the image's size;
            ``'attention'``, ours, is masked cross-attention, which takes any of both.
        patch_size: at the first level, a multiple of 8; a half, a quarter and an eighth at the others.
        depth: transformer layers in each DownViT and UpViT.
        num_heads, mlp_ratio: of the transformers.
        dropout: after patch embedding, attention and in the MLP.
        in_channels: of the image.
        norm_cfg: norm layer of the 2-D convolutions.
        init_cfg: ``dict(type='StrictPretrained', checkpoint=..., prefix='backbone.')``.
    """

    STRIDES = (1, 2, 4, 8)
    # For the error of a checkpoint that does not fit.
    variant_options = "each of base_channels, text_channels, token_mixing, patch_size and img_size ('conv': T too)"

    def __init__(
        self,
        base_channels: int = 64,
        img_size: int | tuple[int, int] = 224,
        text_channels: int | None = 768,
        num_text_tokens: int = 10,
        token_mixing: Literal['conv', 'attention'] = 'conv',
        patch_size: int = 16,
        depth: int = 1,
        num_heads: int = 8,
        mlp_ratio: float = 4,
        dropout: float = 0.1,
        in_channels: int = 3,
        norm_cfg: dict = dict(type='BN', requires_grad=True),
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        if token_mixing not in ('conv', 'attention'):
            raise ValueError(f"token_mixing must be 'conv' or 'attention', got {token_mixing!r}")
        if patch_size < 8 or patch_size % 8:
            raise ValueError(
                f'patch_size must be a multiple of 8, as the fourth level has an eighth of it: {patch_size}'
            )
        if base_channels % num_heads:
            raise ValueError(f'base_channels={base_channels} must be a multiple of num_heads={num_heads}')
        self.img_size = (img_size, img_size) if isinstance(img_size, int) else tuple(img_size)
        self.text_channels = text_channels
        tied = text_channels is not None and token_mixing == 'conv'
        self.num_text_tokens = num_text_tokens if tied else None
        c = base_channels
        levels = (c, 2 * c, 4 * c, 8 * c)
        self.out_channels = (*levels, 8 * c)
        grid = tuple(-(-side // patch_size) for side in self.img_size)

        conv = dict(kernel_size=3, padding=1, norm_cfg=norm_cfg)
        self.stem = ConvModule(in_channels, c, **conv)
        self.down_blocks = nn.ModuleList(
            # ceil: odd sizes keep their last row; the same where sides are multiples of 16.
            nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), ConvModule(i, o, **conv), ConvModule(o, o, **conv))
            for i, o in itertools.pairwise(self.out_channels)
        )
        mixing = None
        if text_channels is not None:
            self.text_convs = TextConvs(text_channels, c)
            mixing = ConvMixing(num_text_tokens, grid[0] * grid[1]) if tied else AttentionMixing(c, num_heads)
        settings = dict(depth=depth, num_heads=num_heads, mlp_ratio=mlp_ratio, dropout=dropout)
        sizes = [patch_size // stride for stride in self.STRIDES]
        # mmengine's lists: PyTorch's would keep their init_weights from being called.
        self.down_vits = ModuleList(
            DownViT(width, size, grid, first=i == 0, mixing=mixing if i == 0 else None, **settings)
            for i, (width, size) in enumerate(zip(levels, sizes, strict=True))
        )
        self.up_vits = ModuleList(UpViT(width, last=width == levels[-1], **settings) for width in levels)
        self.reconstructs = ModuleList(
            Reconstruct(width, size, norm_cfg) for width, size in zip(levels, sizes, strict=True)
        )

    def forward(self, x: Tensor, text: TextFeatures | None = None) -> tuple[Tensor, ...]:
        """Maps of the CNN's way down, the ViT's added.

        Args:
            x: images (B, 3, H, W).
            text: encoded sentences; required in text mode, refused in text-free mode.

        Returns:
            Maps (B, C, H, W), (B, 2C, H/2, W/2), (B, 4C, H/4, W/4), (B, 8C, H/8, W/8), (B, 8C, H/16, W/16), sizes
            rounded up, channels-last.

        Raises:
            ValueError: text where there must be none or none where there must be; with ``token_mixing='conv'``
                another image size or more tokens than it was built for.
        """
        self._check(x, text)
        maps = [self.stem(x.contiguous(memory_format=torch.channels_last))]
        for block in self.down_blocks:
            maps.append(block(maps[-1]))
        *maps, bottom = maps
        words = {} if text is None else dict(words=self._words(text), mask=text.mask)
        down = []
        for i, (vit, level) in enumerate(zip(self.down_vits, maps, strict=True)):
            tokens, grid = vit(level, **words) if i == 0 else vit(level, down[-1])
            down.append(tokens)
        outputs, deeper = [bottom], None
        for vit, tokens, reconstruct, level in reversed(
            list(zip(self.up_vits, down, self.reconstructs, maps, strict=True))
        ):
            deeper = vit(tokens, deeper)
            outputs.insert(0, reconstruct(level, deeper, grid))
        return tuple(outputs)
