"""Decoder of LViT (III-A): the way up of the U-shaped CNN, with PLAM on its skip connections."""

from collections.abc import Sequence

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor, nn

from ..decode_heads.binary_accuracy import BinaryAccuracyMixin
from ..text_features import TextFeatures
from .plam import PLAMUpBlock


@MODELS.register_module()
class LViTHead(BinaryAccuracyMixin, BaseDecodeHead):
    """UpCNN blocks from the deepest map to the finest, then a 1x1 convolution to one logit.

    On any backbone or neck with two maps or more, each half the size of the one before; text reaches it through them,
    and through ``loss_lv`` while training.

    Args:
        in_channels: widths of the maps, finest first.
        in_index: which of the inputs they are.
        num_classes: background included.
        out_channels: 1 with ``num_classes=2`` is a binary model with a sigmoid, as in the paper.
        threshold: of the foreground's probability, where ``out_channels`` is 1.
        loss_decode: half of each of BCE and Dice by default.
        loss_lv: e.g. ``dict(type='LVLoss')``, for training with images without labels; None for none, and then the
            head takes no text.
        **kwargs: of :class:`mmseg.models.decode_heads.decode_head.BaseDecodeHead`.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (64, 128, 256, 512, 512),
        in_index: Sequence[int] = (0, 1, 2, 3, 4),
        num_classes: int = 2,
        out_channels: int | None = 1,
        threshold: float | None = 0.5,
        dropout_ratio: float = 0.0,
        norm_cfg: dict | None = dict(type='BN', requires_grad=True),
        loss_decode: dict | Sequence[dict] = (
            dict(type='WeightedBCELoss', loss_weight=0.5),
            dict(type='WeightedDiceLoss', loss_weight=0.5),
        ),
        loss_lv: dict | None = None,
        **kwargs,
    ):
        if len(in_channels) != len(in_index) or len(in_channels) < 2:
            raise ValueError(
                f'LViTHead decodes two maps or more, got in_channels={in_channels} and in_index={in_index}'
            )
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
        deep, blocks = in_channels[-1], []
        for i in reversed(range(len(in_channels) - 1)):
            blocks.append(PLAMUpBlock(deep, in_channels[i], in_channels[max(i - 1, 0)], norm_cfg))
            deep = blocks[-1].out_channels
        self.up_blocks = nn.ModuleList(blocks)  # deepest first
        self.loss_lv = None if loss_lv is None else MODELS.build(loss_lv)

    @property
    def uses_text(self) -> bool:
        """Whether ``loss`` needs ``text``; prediction never does."""
        return self.loss_lv is not None

    def forward(self, inputs: Sequence[Tensor], text: TextFeatures | None = None) -> Tensor:
        """Logits (B, out_channels, H, W) at the size of the finest map; ``text`` serves the loss only."""
        *skips, x = self._transform_inputs(inputs)
        for block, skip in zip(self.up_blocks, reversed(skips), strict=True):
            x = block(x, skip)
        return self.cls_seg(x)

    def predict(self, inputs: Sequence[Tensor], batch_img_metas: list[dict], test_cfg: ConfigType, text=None) -> Tensor:
        """As :meth:`BaseDecodeHead.predict`."""
        return super().predict(inputs, batch_img_metas, test_cfg)

    def loss(
        self,
        inputs: Sequence[Tensor],
        batch_data_samples: SampleList,
        train_cfg: ConfigType,
        text: TextFeatures | None = None,
    ) -> dict:
        """Losses of ``loss_decode``, and L_LV of the images without labels.

        A sample has no label where its metainfo says ``labelled=False`` (``EPIHook`` does, of pseudo labels) or its
        mask is ``ignore_index`` everywhere (``HideMask``).

        Raises:
            ValueError: ``loss_lv`` is set and no text is given.
        """
        logits = self.forward(inputs)
        losses = self.loss_by_feat(logits, batch_data_samples)
        if self.loss_lv is None:
            return losses
        if text is None:
            raise ValueError('LViTHead with loss_lv needs text=TextFeatures(...)')
        truth = self._stack_batch_gt(batch_data_samples)
        labelled = (truth != self.ignore_index).flatten(1).any(1)
        said = [bool(sample.metainfo.get('labelled', True)) for sample in batch_data_samples]
        labelled = labelled & torch.tensor(said, device=labelled.device)
        logits = resize(logits, size=truth.shape[2:], mode='bilinear', align_corners=self.align_corners)
        losses[self.loss_lv.loss_name] = self.loss_lv(
            logits, truth.squeeze(1), text.pooled, labelled, ignore_index=self.ignore_index
        )
        return losses
