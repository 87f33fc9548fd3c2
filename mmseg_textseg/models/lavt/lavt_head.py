"""Mask predictor of LAVT (Yang et al., CVPR 2022, 3.4): a light top-down decoder."""

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class LAVTHead(BaseDecodeHead):
    """Y_4 = F_4, Y_i = rho_i(concat(up(Y_{i+1}), F_i)), and a 1 x 1 convolution on Y_1 (3.4).

    rho is two 3 x 3 convolutions, each with norm and activation.

    Args:
        in_channels: widths of the maps in ``in_index``, finest first; two or more.
        in_index: which of the backbone's maps are decoded; all by default.
        channels: width of rho's outputs; in the authors' release half of the last map's.
        num_classes: classes, background included.
        norm_cfg: norm layer of the convolutions.
        **kwargs: of :class:`mmseg.models.decode_heads.decode_head.BaseDecodeHead`. No dropout by default.

    Raises:
        ValueError: fewer than two maps.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (128, 256, 512, 1024),
        in_index: Sequence[int] | None = None,
        channels: int = 512,
        num_classes: int = 2,
        norm_cfg: dict = dict(type='BN', requires_grad=True),
        **kwargs,
    ):
        widths = list(in_channels)
        if len(widths) < 2:
            raise ValueError(f'LAVTHead decodes from coarse to fine and needs two maps or more: in_channels={widths}')
        # Two channels are meant, and said, since MMSegmentation warns of two by default.
        kwargs.setdefault('out_channels', num_classes)
        kwargs.setdefault('dropout_ratio', 0)
        super().__init__(
            in_channels=widths,
            in_index=list(range(len(widths)) if in_index is None else in_index),
            channels=channels,
            num_classes=num_classes,
            norm_cfg=norm_cfg,
            input_transform='multiple_select',
            **kwargs,
        )
        conv = dict(kernel_size=3, padding=1, conv_cfg=self.conv_cfg, norm_cfg=norm_cfg, act_cfg=self.act_cfg)
        # From the coarsest step to the finest.
        self.steps = nn.ModuleList(
            nn.Sequential(ConvModule(deeper + width, channels, **conv), ConvModule(channels, channels, **conv))
            for deeper, width in zip([widths[-1]] + [channels] * (len(widths) - 2), widths[-2::-1], strict=True)
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits (B, out_channels, H, W) at the size of the finest map.

        Args:
            inputs: maps of the backbone, (B, C_i, H_i, W_i).

        Raises:
            ValueError: maps of other widths than ``in_channels``.
        """
        maps = self._transform_inputs(inputs)
        widths = [m.shape[1] for m in maps]
        if widths != list(self.in_channels):
            raise ValueError(
                f'LAVTHead(in_channels={list(self.in_channels)}) got maps {widths} wide at in_index='
                f'{list(self.in_index)}: set in_channels to the widths of the backbone'
            )
        y = maps[-1]
        for step, finer in zip(self.steps, maps[-2::-1], strict=True):
            y = resize(y, size=finer.shape[2:], mode='bilinear', align_corners=self.align_corners)
            y = step(torch.cat([y, finer], dim=1))
        return self.cls_seg(y)
