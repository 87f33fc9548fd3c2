"""A segmentor as one function of tensors, and the sizes that function takes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from mmengine.config import Config
from mmseg.models import SegDataPreProcessor
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from torch import Tensor, nn

from ..apis.config import find, innermost
from ..models.text_encoding import uses_text


class ExportError(RuntimeError):
    """A model that cannot be exported as asked; the message holds the mend."""


@dataclass(frozen=True)
class Signature:
    """Sizes that an exported model takes.

    Attributes:
        size: height and width of pictures; those of the test pipeline where they are free.
        multiple: None: only ``size``. Else any height and width of at least twice this number, and multiples of it.
        max_tokens: what sentences were cut to in training and are cut to by the saved tokenizer, special tokens
            included; None for a text-free model.
        token_limit: most tokens that the graph takes.
    """

    size: tuple[int, int]
    multiple: int | None
    max_tokens: int | None
    token_limit: int | None

    @property
    def has_text(self) -> bool:
        """Whether a sentence goes in."""
        return self.max_tokens is not None


class MaskGraph(nn.Module):
    """Raw pictures and token ids to the log odds of the foreground.

    The data preprocessor's work is inside: channel order, normalisation, padding. Everything is evaluated whole.

    Args:
        model: with two classes; put into evaluation mode.
        signature: sizes of what will come.

    Raises:
        ExportError: the model makes something else than one mask of a picture, or takes no such sizes.
    """

    def __init__(self, model: EncoderDecoder, signature: Signature):
        super().__init__()
        _check_model(model, signature)
        self.model = model.eval().requires_grad_(False)
        prep = model.data_preprocessor
        # Loaders give BGR; a preprocessor that swaps makes it RGB, which is what comes in here.
        # OpenMMLab's stack has the name without the underscore.
        self.takes_rgb = any(getattr(prep, name, False) for name in ('_channel_conversion', 'channel_conversion'))
        self.normalises = bool(prep._enable_normalize)
        self.pad_value = prep.pad_val
        self.padding = _padding(prep, signature)

    def forward(self, image: Tensor, token_ids: Tensor | None = None, token_mask: Tensor | None = None) -> Tensor:
        """Segment.

        Args:
            image: (B, 3, H, W) float32, RGB, 0 to 255.
            token_ids: (B, T) int64; None for a text-free model.
            token_mask: (B, T) bool, True = a real token.

        Returns:
            Log odds of the foreground, (B, H, W) float32. Their sigmoid is the probability; where the mask is wanted at
            another size they are to be resized first, as the segmentor does.
        """
        model, head = self.model, self.model.decode_head
        x = image if self.takes_rgb else image[:, [2, 1, 0]]
        if self.normalises:
            x = (x - model.data_preprocessor.mean) / model.data_preprocessor.std
        x = F.pad(x, self.padding, value=self.pad_value)
        if token_ids is None:
            text, maps = None, model.extract_feat(x)
        else:
            text = model.text_encoder(token_ids, token_mask)
            maps = model.extract_feat(x, text)
        logits = head(maps, text=text) if uses_text(head) else head(maps)
        if logits.shape[1] == 2:
            # Softmax of two is the sigmoid of their difference, and resizing is linear.
            logits = logits[:, 1:] - logits[:, :1]
        logits = resize(logits, size=x.shape[2:], mode='bilinear', align_corners=head.align_corners)
        return logits[:, 0, : image.shape[2], : image.shape[3]]

    @property
    def threshold(self) -> float:
        """Probability above which a pixel is foreground."""
        head = self.model.decode_head
        return float(head.threshold) if head.out_channels == 1 else 0.5


def _check_model(model: EncoderDecoder, signature: Signature) -> None:
    head = getattr(model, 'decode_head', None)
    if not isinstance(model, EncoderDecoder) or not isinstance(head, BaseDecodeHead):
        raise ExportError(
            f'{type(model).__name__} with {type(head).__name__} is no segmentor with one decode head: nothing here '
            'knows how it makes a mask'
        )
    if head.out_channels > 2:
        raise ExportError(f'the decode head has {head.out_channels} classes; one mask is exported: 2 are needed')
    if not isinstance(model.data_preprocessor, SegDataPreProcessor):
        raise ExportError(
            f'the data preprocessor is a {type(model.data_preprocessor).__name__}; expected a SegDataPreProcessor, '
            'whose normalisation goes into the graph'
        )
    if model.test_cfg.get('mode', 'whole') != 'whole':
        raise ExportError(
            f"model.test_cfg.mode='{model.test_cfg.mode}' averages windows, which a graph does not: "
            '--cfg-options model.test_cfg.mode=whole exports the network itself, for pictures of one window'
        )
    if signature.multiple is None:
        return
    if getattr(model.backbone, 'num_text_tokens', None):
        raise ExportError(
            f"{type(model.backbone).__name__}(token_mixing='conv') has an output for each patch of "
            '{} x {} images: leave --dynamic-size out'.format(*model.backbone.img_size)
        )
    if (model.data_preprocessor.test_cfg or {}).get('size'):
        raise ExportError('data_preprocessor.test_cfg.size pads to one size: leave --dynamic-size out')


def _padding(prep: SegDataPreProcessor, signature: Signature) -> tuple[int, int, int, int]:
    """As MMSegmentation pads in testing: right and bottom, to a size or a multiple. Free sizes are multiples."""
    padded = signature.size
    if signature.multiple is None and prep.test_cfg:
        if prep.test_cfg.get('size'):
            padded = tuple(max(side, least) for side, least in zip(padded, prep.test_cfg['size'], strict=True))
        else:
            divisor = prep.test_cfg['size_divisor']
            padded = tuple(-(-side // divisor) * divisor for side in padded)
    return 0, padded[1] - signature.size[1], 0, padded[0] - signature.size[0]


def read_signature(
    cfg: Config, model: EncoderDecoder, size: Sequence[int] | None = None, dynamic_size: bool = False
) -> Signature:
    """Sizes out of a config's test pipeline.

    Args:
        cfg: from ``load_config``.
        model: built from it.
        size: height and width instead of the pipeline's.
        dynamic_size: whether height and width stay free.

    Raises:
        ExportError: no size is to be found, or text without TokenizeText.
    """
    pipeline = _pipeline(cfg)
    multiple = None
    if dynamic_size:
        prep = model.data_preprocessor
        multiple = (getattr(prep, 'test_cfg', None) or {}).get('size_divisor') or 32
    height, width = size or _resized(pipeline)
    if min(height, width) < 2 * (multiple or 0.5) or any(side % (multiple or 1) for side in (height, width)):
        wanted = f'multiples of {multiple}, at least {2 * multiple}' if multiple else 'at least 1'
        raise ExportError(f'size is {height} x {width} (height x width); expected {wanted}: set --size')
    if getattr(model, 'text_encoder', None) is None:
        return Signature((height, width), multiple, None, None)
    steps = list(find(pipeline, type='TokenizeText'))
    if not steps:
        raise ExportError('the test pipeline has no TokenizeText, which says how long sentences may be')
    limit = getattr(model.backbone, 'num_text_tokens', None) or model.text_encoder.bert.config.max_position_embeddings
    return Signature((height, width), multiple, min(steps[0].get('max_tokens', 20), limit), limit)


def _pipeline(cfg: Config) -> list:
    if cfg.get('test_dataloader') is None:
        raise ExportError('the config has no test_dataloader, whose pipeline pictures go through: a pretraining?')
    return next(innermost(cfg.test_dataloader.dataset)).pipeline


def _resized(pipeline: list) -> tuple[int, int]:
    steps = list(find(pipeline, type='Resize'))
    scale = steps[-1].get('scale') if steps and not steps[-1].get('keep_ratio') else None
    if scale is None:
        raise ExportError(
            'the test pipeline brings pictures to no one size (Resize with scale and keep_ratio=False): give '
            '--size HEIGHT WIDTH'
        )
    width, height = (scale, scale) if isinstance(scale, int) else scale
    return int(height), int(width)
