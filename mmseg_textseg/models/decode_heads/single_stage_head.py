"""LSMS without its decoder (Table III c)."""

from collections.abc import Sequence

from mmseg.registry import MODELS
from torch import Tensor, nn

from .full_scale_head import FullScaleHead


@MODELS.register_module()
class SingleStageHead(FullScaleHead):
    """One stage's map classified pixel by pixel, with the losses of LSMS: no alignment, no InterScale.

    The paper does not say what remains without the decoder. It says that the decoder costs 2.1 M parameters, and at
    base size it has 2.12 M: next to nothing can remain but a classifier, here eq. 12's 1x1 convolution on the last
    stage. L_con compares that stage's pixels with the sentence.

    Args:
        in_channels: width of the stage.
        in_index: which of the backbone's maps.
        num_classes: classes, background included.
        text_channels: width of the text; needed with ``text_fusion`` and ``loss_contrast`` only.
        text_fusion, loss_contrast: as in :class:`FullScaleHead`.
        **kwargs: of :class:`mmseg.models.decode_heads.decode_head.BaseDecodeHead`, such as ``loss_decode``.

    Raises:
        TypeError: an option of the decoder that is not there.
    """

    def __init__(
        self,
        in_channels: int,
        in_index: int = 3,
        num_classes: int = 2,
        text_channels: int | None = None,
        text_fusion: dict | None = None,
        loss_contrast: dict | None = None,
        **kwargs,
    ):
        unused = sorted({'mlp_channels', 'early_squeeze', 'train_steps', 'eval_steps'} & set(kwargs))
        if unused:
            raise TypeError(f'SingleStageHead has no decoder for {", ".join(unused)}: leave it out')
        super().__init__(
            in_channels=[in_channels],
            in_index=[in_index],
            align_to=in_index,
            ham_channels=in_channels,
            channels=in_channels,
            num_classes=num_classes,
            rank=1,
            hamburger=False,
            text_channels=text_channels,
            text_fusion=text_fusion,
            loss_contrast=loss_contrast,
            norm_cfg=None,
            **kwargs,
        )
        self.squeeze = self.align = nn.Identity()

    def decode(self, inputs: Sequence[Tensor]) -> Tensor:
        """The stage's own map (B, in_channels, H, W)."""
        return inputs[self.in_index[0]]
