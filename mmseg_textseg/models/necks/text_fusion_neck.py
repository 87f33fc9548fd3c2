"""Text between a backbone that knows none and a head that knows none."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from ..layers.text_fusion import TextFusions
from ..text_features import TextFeatures


@MODELS.register_module()
class TextFusionNeck(BaseModule):
    """Maps of a backbone with text in them, their widths and sizes unchanged: for heads of MMSegmentation.

    The auxiliary head reads the same maps. For a text-free model leave the neck out.

    Args:
        in_channels: widths of all maps of the backbone.
        text_channels: width of the text.
        fusion: e.g. ``dict(type='CrossAttentionFusion')``, built for each map at its width.
        in_index: which of the maps are fused, all by default; one that no head reads would get no gradient.

    Raises:
        ValueError: no ``text_channels``, or an index without a map.
    """

    uses_text = True

    def __init__(
        self,
        in_channels: Sequence[int],
        text_channels: int,
        fusion: dict,
        in_index: Sequence[int] | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        index = range(len(in_channels)) if in_index is None else in_index
        if any(i not in range(len(in_channels)) for i in index):
            raise ValueError(f'in_index={list(index)} names a map that is not among in_channels={list(in_channels)}')
        self.in_channels = self.out_channels = tuple(in_channels)
        self.text_channels = text_channels
        self.fusions = TextFusions(type(self).__name__, fusion, [in_channels[i] for i in index], index, text_channels)

    def forward(self, inputs: Sequence[Tensor], text: TextFeatures | None = None) -> tuple[Tensor, ...]:
        """As many maps as come in, each of its shape.

        Raises:
            ValueError: no text, or maps of other widths than ``in_channels``.
        """
        widths = tuple(x.shape[1] for x in inputs)
        if widths != self.in_channels:
            raise ValueError(f'TextFusionNeck(in_channels={list(self.in_channels)}) got maps of widths {list(widths)}')
        return self.fusions(inputs, text)
