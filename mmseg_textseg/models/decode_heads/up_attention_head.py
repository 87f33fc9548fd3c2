"""Decoder of MPTPN (3.3, Algorithm 1): MSFF, then UpAttention twice."""

from collections.abc import Sequence
from typing import Literal

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor

from ..layers.pointwise import pointwise
from ..layers.up_attention import UpAttention
from ..necks.msff import MSFF
from ..text_features import TextFeatures
from .binary_accuracy import BinaryAccuracyMixin
from .text_fusion_mixin import TextFusionMixin


@MODELS.register_module()
class UpAttentionHead(TextFusionMixin, BinaryAccuracyMixin, BaseDecodeHead):
    """Y = UpAttention(x1, UpAttention(x2, x3)), then a 1x1 convolution to one logit.

    On any backbone or neck with three maps at strides s, 2s, 4s; text reaches it through them, or by ``text_fusion``.

    Args:
        in_channels: widths of the three maps, finest first.
        in_index: which of the inputs they are.
        pool: of the skip's gate, ``'channel'`` or ``'space'``, see :class:`SkipGate`.
        num_classes: background included.
        out_channels: 1 with ``num_classes=2`` is a binary model with a sigmoid, as in the paper.
        threshold: of the foreground's probability, where ``out_channels`` is 1.
        loss_decode: eq. 11 by default.
        text_channels: width of the text; needed with ``text_fusion`` only.
        text_fusion: e.g. ``dict(type='LanguageFusion')``, which brings text into each map before all else, behind a
            backbone that knows no text; None, as in the paper, for none.
        **kwargs: of :class:`mmseg.models.decode_heads.decode_head.BaseDecodeHead`.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (192, 384, 768),
        in_index: Sequence[int] = (0, 1, 2),
        pool: Literal['channel', 'space'] = 'channel',
        num_classes: int = 2,
        out_channels: int | None = 1,
        threshold: float | None = 0.5,
        dropout_ratio: float = 0.0,
        norm_cfg: dict | None = dict(type='BN', requires_grad=True),
        loss_decode: dict | Sequence[dict] = (
            dict(type='WeightedBCELoss', loss_weight=0.5),
            dict(type='WeightedDiceLoss', loss_weight=0.5),
        ),
        text_channels: int | None = None,
        text_fusion: dict | None = None,
        **kwargs,
    ):
        if len(in_channels) != 3 or len(in_index) != 3:
            raise ValueError(f'three maps are decoded, got in_channels={in_channels} and in_index={in_index}')
        super().__init__(
            in_channels=list(in_channels),
            in_index=list(in_index),
            input_transform='multiple_select',
            channels=in_channels[0],
            num_classes=num_classes,
            out_channels=out_channels,
            threshold=threshold if out_channels == 1 else None,
            dropout_ratio=dropout_ratio,
            norm_cfg=norm_cfg,
            loss_decode=loss_decode,
            **kwargs,
        )
        c1, c2, c3 = in_channels
        self.up32 = UpAttention(c3, c2, pool=pool, norm_cfg=norm_cfg)
        self.up21 = UpAttention(c2, c1, pool=pool, norm_cfg=norm_cfg)
        self._init_text_fusion(text_fusion, in_channels, in_index, text_channels)

    def forward(self, inputs: Sequence[Tensor], text: TextFeatures | None = None) -> Tensor:
        """Logits (B, out_channels, H, W) at the size of the finest map."""
        return self.decode(self.fuse(inputs, text))

    def decode(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits of maps that hold the text already, or know none."""
        x1, x2, x3 = self._transform_inputs(inputs)
        return self.cls_seg(self.up21(self.up32(x3, x2), x1))

    def cls_seg(self, feat: Tensor) -> Tensor:
        """Logits of decoded maps, as :class:`BaseDecodeHead` makes them."""
        return pointwise(self.conv_seg, feat if self.dropout is None else self.dropout(feat))


@MODELS.register_module()
class MSFFUpAttentionHead(UpAttentionHead):
    """MSFF and both UpAttentions as one decode head: the decoder of stage 2, whole.

    Args:
        in_channels: widths of the backbone's three maps, finest first; C, 2C, 4C in the paper.
        in_index: which of the backbone's maps they are.
        text_channels, text_fusion: as for :class:`UpAttentionHead`; text enters before MSFF.
        **kwargs: of :class:`UpAttentionHead`.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (64, 128, 256),
        in_index: Sequence[int] = (0, 1, 2),
        text_channels: int | None = None,
        text_fusion: dict | None = None,
        **kwargs,
    ):
        super().__init__(in_channels=[3 * c for c in in_channels], in_index=(0, 1, 2), **kwargs)
        self.msff = MSFF(in_channels, in_index)
        self._init_text_fusion(text_fusion, in_channels, in_index, text_channels)

    def decode(self, inputs: Sequence[Tensor]) -> Tensor:
        return super().decode(self.msff(inputs))
