"""Full-scale decoder of LSMS (III-D, eq. 11-12)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads import LightHamHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor, nn

from ..layers.nmf import NMFHamburger
from ..text_features import TextFeatures
from .text_fusion_mixin import TextFusionMixin


@MODELS.register_module()
class FullScaleHead(TextFusionMixin, LightHamHead):
    """Stages aligned to one size, concatenated, mixed by a light Hamburger, classified.

    Out = Seg(InterScale(Concat[P_i])), P_i = bilinear(F_i). The squeeze convolution is linear and acts
    pixel by pixel, so it commutes with bilinear resizing: each stage is squeezed at its own size and
    the results are summed (``early_squeeze``), which is exact and 16 times cheaper at 480 x 480.

    Args:
        in_channels: widths of the stages in ``in_index``.
        in_index: which of the backbone's maps are decoded; the paper leaves stage 1 out.
        align_to: index of the map whose size all are brought to; stage 1 in the paper.
        ham_channels: width of the Hamburger.
        channels: width of the final features.
        num_classes: classes, background included.
        rank, train_steps, eval_steps: of the factorisation; SegNeXt's T and S use rank 16.
        hamburger: False leaves the Hamburger out (Table III d, "MLP" instead of "Head").
        mlp_channels: width of a 1x1 convolution + norm + activation on each stage before the
            concatenation (Table III d, "MLP-Concat"); None for none.
        early_squeeze: False resizes first, as the equation is written.
        text_channels: width of the text; needed with ``text_fusion`` and ``loss_contrast`` only.
        text_fusion: e.g. ``dict(type='CrossAttentionFusion')``, which brings text into each stage before all else,
            behind a backbone that knows no text; None, as in the paper, for none.
        loss_contrast: e.g. ``dict(type='VisionLanguageContrastiveLoss', loss_weight=0.125)``; None for none.
        **kwargs: of :class:`mmseg.models.decode_heads.LightHamHead`.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (128, 320, 512),
        in_index: Sequence[int] = (1, 2, 3),
        align_to: int = 0,
        ham_channels: int = 768,
        channels: int = 256,
        num_classes: int = 2,
        rank: int = 64,
        train_steps: int = 6,
        eval_steps: int = 7,
        hamburger: bool = True,
        mlp_channels: int | None = None,
        early_squeeze: bool = True,
        text_channels: int | None = None,
        text_fusion: dict | None = None,
        loss_contrast: dict | None = None,
        norm_cfg: dict | None = dict(type='GN', num_groups=32, requires_grad=True),
        **kwargs,
    ):
        widths = list(in_channels) if mlp_channels is None else [mlp_channels] * len(in_channels)
        # Two channels are meant, and said, since MMSegmentation warns of two by default.
        kwargs.setdefault('out_channels', num_classes)
        super().__init__(
            in_channels=widths,
            in_index=list(in_index),
            ham_channels=ham_channels,
            channels=channels,
            num_classes=num_classes,
            norm_cfg=norm_cfg,
            **kwargs,
        )
        self.align_to = align_to
        self.early_squeeze = early_squeeze
        self.mlps = None
        if mlp_channels is not None:
            self.mlps = nn.ModuleList(
                ConvModule(c, mlp_channels, 1, norm_cfg=norm_cfg, act_cfg=self.act_cfg) for c in in_channels
            )
        self.hamburger = nn.Identity()
        if hamburger:
            self.hamburger = NMFHamburger(ham_channels, rank, train_steps, eval_steps, norm_cfg)
        self._init_text_fusion(text_fusion, in_channels, self.in_index, text_channels)
        self.loss_contrast = None
        if loss_contrast is not None:
            if text_channels is None:
                raise ValueError('FullScaleHead(loss_contrast=...) needs text_channels, the width of the text encoder')
            self.loss_contrast = MODELS.build(loss_contrast)
            self.text_channels = text_channels
            self.text_proj = nn.Linear(text_channels, channels)

    @property
    def uses_text(self) -> bool:
        """Whether calls need ``text``: all of them with ``text_fusion``, ``loss`` alone with ``loss_contrast``."""
        return self.text_fusion is not None or self.loss_contrast is not None  # compilers cannot follow a super()

    def _squeeze(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Concat, resize and 1x1 convolution in the cheaper order: (B, ham_channels, *size)."""
        grow = dict(size=size, mode='bilinear', align_corners=self.align_corners)
        if not self.early_squeeze:
            return self.squeeze(torch.cat([resize(m, **grow) for m in maps], dim=1))
        conv = self.squeeze.conv
        parts = conv.weight.split([m.shape[1] for m in maps], dim=1)
        small = [F.conv2d(m, w) for m, w in zip(maps, parts, strict=True)]
        x = resize(small[0], **grow)
        for m in small[1:]:
            x = x.add_(resize(m, **grow))
        if conv.bias is not None:
            x = x + conv.bias[:, None, None]
        if self.squeeze.with_norm:
            x = self.squeeze.norm(x)
        return self.squeeze.activate(x) if self.squeeze.with_activation else x

    def decode(self, inputs: Sequence[Tensor]) -> Tensor:
        """Final features (B, channels, H, W) at the size of map ``align_to``: the p_i and n_j of eq. 14."""
        maps = self._transform_inputs(inputs)
        if self.mlps is not None:
            maps = [mlp(m) for mlp, m in zip(self.mlps, maps, strict=True)]
        x = self._squeeze(maps, inputs[self.align_to].shape[2:])
        return self.align(self.hamburger(x))

    def forward(self, inputs: Sequence[Tensor], text: TextFeatures | None = None) -> Tensor:
        """Logits (B, num_classes, H, W) at the size of map ``align_to``."""
        return self.cls_seg(self.decode(self.fuse(inputs, text)))

    def loss(
        self,
        inputs: Sequence[Tensor],
        batch_data_samples: SampleList,
        train_cfg: ConfigType,
        text: TextFeatures | None = None,
    ) -> dict:
        """L = alpha L_con + L_seg (eq. 15); alpha is ``loss_contrast``'s weight.

        Raises:
            ValueError: a contrastive loss or a fusion is set and no text is given.
        """
        features = self.decode(self.fuse(inputs, text))
        losses = self.loss_by_feat(self.cls_seg(features), batch_data_samples)
        if self.loss_contrast is not None:
            if text is None:
                raise ValueError('FullScaleHead with loss_contrast needs text=TextFeatures(...)')
            mask = self._stack_batch_gt(batch_data_samples).squeeze(1)
            losses[self.loss_contrast.loss_name] = self.loss_contrast(features, self.text_proj(text.pooled), mask)
        return losses
