"""Text in decode heads: what a head of MMSegmentation needs beside its own forward."""

from collections.abc import Sequence

from mmseg.utils import ConfigType, SampleList
from torch import Tensor

from ..layers.text_fusion import TextFusions
from ..text_features import TextFeatures


class TextFusionMixin:
    """Before a ``BaseDecodeHead`` whose ``forward(inputs, text)`` decodes ``self.fuse(inputs, text)``.

    With ``text_fusion`` a head behind a backbone that knows no text makes a referring model; without it the head takes
    no text.
    """

    def _init_text_fusion(
        self,
        fusion: dict | None,
        in_channels: Sequence[int],
        in_index: Sequence[int],
        text_channels: int | None,
    ) -> None:
        """Build a fusion for each map that is read, after ``BaseDecodeHead.__init__``.

        Args:
            fusion: e.g. ``dict(type='CrossAttentionFusion')``; None for none.
            in_channels: widths of the maps, before the head does anything to them.
            in_index: which of the inputs they are.
            text_channels: width of the text.
        """
        name = type(self).__name__
        self.text_fusion = None if fusion is None else TextFusions(name, fusion, in_channels, in_index, text_channels)
        self.text_channels = None if fusion is None else text_channels

    @property
    def uses_text(self) -> bool:
        """Whether calls need ``text``."""
        return self.text_fusion is not None

    def fuse(self, inputs: Sequence[Tensor], text: TextFeatures | None) -> Sequence[Tensor]:
        """All inputs, with text in those that the head reads; as they are without ``text_fusion``."""
        return inputs if self.text_fusion is None else self.text_fusion(inputs, text)

    def loss(
        self,
        inputs: Sequence[Tensor],
        batch_data_samples: SampleList,
        train_cfg: ConfigType,
        text: TextFeatures | None = None,
    ) -> dict:
        """As :meth:`BaseDecodeHead.loss`, with text."""
        return self.loss_by_feat(self.forward(inputs, text), batch_data_samples)

    def predict(
        self,
        inputs: Sequence[Tensor],
        batch_img_metas: list[dict],
        test_cfg: ConfigType,
        text: TextFeatures | None = None,
    ) -> Tensor:
        """As :meth:`BaseDecodeHead.predict`, with text."""
        return self.predict_by_feat(self.forward(inputs, text), batch_img_metas)
