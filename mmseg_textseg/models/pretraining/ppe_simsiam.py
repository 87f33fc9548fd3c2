"""Stage 1 of MPTPN (3.2.1, Algorithm 1): contrastive pretraining of an encoder on images with captions."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmseg.registry import MODELS
from mmseg.utils import OptConfigType, OptSampleList
from torch import Tensor, nn

from ..losses.simsiam import simsiam_loss
from ..text_encoding import check_text_width, encode_samples, uses_text


class Predictor(nn.Sequential):
    """G of Algorithm 1, SimSiam's bottleneck: (B, C) -> (B, C).

    Args:
        channels: C.
        hidden: width between.
    """

    def __init__(self, channels: int, hidden: int):
        super().__init__(
            nn.Linear(channels, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, channels),
        )


@MODELS.register_module()
class PPESimSiam(BaseModel):
    """Two views of an image with one caption, through one encoder; each predicts the other.

    Each of the encoder's maps is pooled over all pixels and has a predictor of its own; the loss is the mean over
    maps. Beside it the model logs ``spread_<i>``, the standard deviation over the batch of map i's l2-normalised
    encodings, times sqrt(C_i): 1 for encodings spread over the sphere, 0 for collapsed ones, that is, one encoding for
    all images. :class:`CollapseMonitorHook` watches it.

    The checkpoint's ``backbone.*`` (and ``text_encoder.*`` where that was trained) is what stage 2 starts from.

    Args:
        backbone: config of the encoder, with ``out_channels`` (its maps' widths).
        text_encoder: config of the text encoder; None for an encoder without text.
        predictor_ratio: hidden width of the predictors over C_i.
        channels_last: keep images, maps and weights channels-last.
        data_preprocessor: a ``TwoViewDataPreProcessor``.
        init_cfg: as mmengine's.
    """

    def __init__(
        self,
        backbone: dict,
        text_encoder: OptConfigType = None,
        predictor_ratio: float = 0.25,
        channels_last: bool = True,
        data_preprocessor: OptConfigType = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        self.text_encoder = None if text_encoder is None else MODELS.build(text_encoder)
        if uses_text(self.backbone) != (self.text_encoder is not None):
            raise ValueError(
                'the backbone and text_encoder disagree: set both, or text_encoder=None and text_channels=None'
            )
        if self.text_encoder is not None:
            check_text_width('backbone', self.backbone, self.text_encoder)
        self.predictors = nn.ModuleList(
            Predictor(c, max(1, int(predictor_ratio * c))) for c in self.backbone.out_channels
        )
        self.channels_last = channels_last
        if channels_last:
            self.to(memory_format=torch.channels_last)

    def encode(self, view: Tensor, text=None) -> list[Tensor]:
        """Y: an image (B, 3, H, W) and its sentence to pooled maps (B, C_i)."""
        if self.channels_last:
            view = view.contiguous(memory_format=torch.channels_last)
        maps = self.backbone(view, text=text) if uses_text(self.backbone) else self.backbone(view)
        # In this order the gradient of a channels-last map is channels-last too; else the whole backward pass is not.
        return [m.permute(0, 2, 3, 1).mean((1, 2)) for m in maps]

    def forward(self, inputs: Sequence[Tensor], data_samples: OptSampleList = None, mode: str = 'tensor'):
        """Loss and spreads, or the encodings.

        Args:
            inputs: two views, each (B, 3, H, W).
            data_samples: with the captions' tokens.
            mode: ``'loss'``, or ``'tensor'`` for Y of both views, two lists of (B, C_i).

        Raises:
            ValueError: another mode: stage 1 predicts no masks.
        """
        if mode not in ('loss', 'tensor'):
            raise ValueError(f"stage 1 has no mode {mode!r}: its checkpoint is for stage 2's model.backbone.init_cfg")
        # Encoded once: both views share the caption, and the sum of both gradients is that of one use each.
        text = None if self.text_encoder is None else encode_samples(self.text_encoder, data_samples)
        y1, y2 = (self.encode(view, text) for view in inputs)
        return self.loss(y1, y2) if mode == 'loss' else (y1, y2)

    def loss(self, y1: Sequence[Tensor], y2: Sequence[Tensor]) -> dict[str, Tensor]:
        """Of the encodings of both views, lists of (B, C_i).

        Raises:
            ValueError: a batch of one, which batch norm and the spread cannot take.
        """
        if len(y1[0]) < 2:
            raise ValueError('SimSiam needs at least two images a batch: raise batch_size, or set drop_last=True')
        terms, spreads = [], {}
        for i, (a, b, predict) in enumerate(zip(y1, y2, self.predictors, strict=True)):
            terms.append(simsiam_loss(predict(a), b, predict(b), a))
            spreads[f'spread_{i + 1}'] = spread(a)
        return dict(loss_simsiam=torch.stack(terms).mean(), **spreads)


@torch.no_grad()
def spread(encodings: Tensor) -> Tensor:
    """Standard deviation over the batch of l2-normalised (B, C), mean over C, times sqrt(C)."""
    unit = F.normalize(encodings.float(), dim=1)
    return unit.std(0).mean() * math.sqrt(encodings.shape[1])
