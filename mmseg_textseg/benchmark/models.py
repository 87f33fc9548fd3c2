"""LSMS and its encoder beside MMSegmentation's: forward, and a training step."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from mmengine.structures import PixelData
from mmseg.models.backbones import MSCAN
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from ..models import SVLAEncoder, TextEncoderDecoder, TextFeatures
from ..models.fusing import fuse
from .group import Group
from .stock_style import StockSegmentor

# A sentence of RefHL-Seg, about; the vocabulary of bert-base-uncased.
TOKENS, VOCABULARY = 32, 30522
BN, MICRO_WIDTHS = dict(type='BN', requires_grad=True), (8, 16, 24, 32)
# The rest of BERT-base's shape is transformers' default.
BERT_BASE = dict(hidden_size=768)
MICRO_BERT = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)


@dataclass(frozen=True)
class Variant:
    """Sizes of a model.

    Attributes:
        arch: of the encoder: ``widths``, ``depths``, ``mlp_ratios``, ``drop_path_rate``.
        ham_channels, channels, rank, norm_groups: of the head.
        bert: arguments of ``BertConfig``.
    """

    arch: dict
    ham_channels: int
    rank: int
    channels: int = 256
    norm_groups: int = 32
    bert: dict = field(default_factory=lambda: BERT_BASE)

    @property
    def text_channels(self) -> int:
        """C_l, width of the tokens."""
        return self.bert['hidden_size']


# As configs/lsms; micro is for trials.
VARIANTS = {
    'tiny': Variant(SVLAEncoder.ARCHS['tiny'], 256, 16),
    'small': Variant(SVLAEncoder.ARCHS['small'], 256, 16),
    'base': Variant(SVLAEncoder.ARCHS['base'], 768, 64),
    'large': Variant(SVLAEncoder.ARCHS['large'], 768, 64),
    'micro': Variant(
        dict(widths=MICRO_WIDTHS, depths=(1, 1, 1, 1), mlp_ratios=(2, 2, 2, 2), drop_path_rate=0.1),
        *(24, 4, 16, 4, MICRO_BERT),
    ),
}


def variants_of(names: Sequence[str]) -> Iterator[tuple[str, Variant]]:
    """Each with its name.

    Raises:
        ValueError: a name that is none.
    """
    for name in names:
        if name not in VARIANTS:
            raise ValueError(f'variant {name!r}: expected one of {", ".join(VARIANTS)}')
        yield name, VARIANTS[name]


def build_lsms(variant: Variant, text: bool = True) -> TextEncoderDecoder:
    """Ours, with random weights and a BERT of the variant's shape, or text-free."""
    width = variant.text_channels if text else None
    # The name settles the vocabulary's size; no weights are loaded.
    encoder = dict(type='BertTextEncoder', pretrained='bert-base-uncased', arch=variant.bert) if text else None
    head = dict(
        type='FullScaleHead',
        in_channels=variant.arch['widths'][1:],
        ham_channels=variant.ham_channels,
        channels=variant.channels,
        rank=variant.rank,
        norm_cfg=dict(type='GN', num_groups=variant.norm_groups),
        text_channels=width,
        loss_decode=dict(type='BoundaryWeightedSegLoss'),
        loss_contrast=dict(type='VisionLanguageContrastiveLoss') if text else None,
    )
    backbone = dict(type='SVLAEncoder', arch=variant.arch, text_channels=width)
    return MODELS.build(
        dict(type='TextEncoderDecoder', text_encoder=encoder, backbone=backbone, decode_head=head, test_cfg={})
    )


def stock_encoder_config(variant: Variant) -> dict:
    """Arguments of MMSegmentation's ``MSCAN``."""
    arch = variant.arch
    options = {name: list(arch[key]) for name, key in (('embed_dims', 'widths'), ('mlp_ratios',) * 2, ('depths',) * 2)}
    return dict(**options, drop_path_rate=arch['drop_path_rate'], norm_cfg=BN)


def build_stock(variant: Variant, text: bool) -> StockSegmentor:
    """LSMS from stock-style modules, or SegNeXt decoded at stride 4, as wide as ours."""
    head = dict(
        in_channels=list(variant.arch['widths'][1:]),
        in_index=[1, 2, 3],
        ham_channels=variant.ham_channels,
        channels=variant.channels,
        rank=variant.rank,
        num_classes=2,
        out_channels=2,
        norm_cfg=dict(type='GN', num_groups=variant.norm_groups),
        loss_decode=dict(type='BoundaryWeightedSegLoss'),
    )
    return StockSegmentor(stock_encoder_config(variant), head, variant.text_channels if text else None)


def images(size: int, batch: int) -> Tensor:
    """Normalised images (B, 3, size, size), NCHW."""
    return torch.randn(batch, 3, size, size)


def token_ids(batch: int) -> tuple[Tensor, Tensor]:
    """Ids (B, T) and their mask."""
    return torch.randint(VOCABULARY, (batch, TOKENS)), torch.ones(batch, TOKENS, dtype=torch.bool)


def samples(size: int, batch: int) -> list[SegDataSample]:
    """Truth: a disc in each image, 5% of its pixels."""
    axis = torch.arange(size) - (size - 1) / 2
    disc = (axis[:, None] ** 2 + axis**2 < (size / 8) ** 2).long()
    return [SegDataSample(gt_sem_seg=PixelData(data=disc[None])) for _ in range(batch)]


def no_grad(call: Callable[[], object]) -> Callable[[], object]:
    """The same call without autograd."""
    return torch.no_grad()(call)


def encoder_groups(
    sizes: Sequence[int] = (480,), batches: Sequence[int] = (1, 4), variants: Sequence[str] = ('tiny', 'base')
) -> Iterator[Group]:
    """SVLAEncoder without text beside MSCAN, of the same weights, in evaluation."""
    for name, variant in variants_of(variants):
        stock = MSCAN(**stock_encoder_config(variant)).eval()
        turned = MSCAN(**stock_encoder_config(variant)).to(memory_format=torch.channels_last).eval()
        whole = build_lsms(variant, text=False).eval()
        for model in (turned, whole.backbone):
            model.load_state_dict(stock.state_dict(), strict=True)
        ours, fused = whole.backbone, fuse(whole).backbone
        for size in sizes:
            for batch in batches:
                x = images(size, batch)
                calls = {
                    'MSCAN': partial(stock, x),
                    'MSCAN, channels-last': partial(turned, x.contiguous(memory_format=torch.channels_last)),
                    'SVLAEncoder': partial(ours, x),
                    'SVLAEncoder, folded': partial(fused, x),
                }
                yield Group(
                    f'encoder/{name}/{size}/{batch}',
                    'text-free encoder, evaluation',
                    {key: no_grad(call) for key, call in calls.items()},
                    'MSCAN',
                    dict(pixels=size * size, batch=batch),
                )


def lsms_groups(
    sizes: Sequence[int] = (480,), batches: Sequence[int] = (1, 4), variants: Sequence[str] = ('tiny', 'base')
) -> Iterator[Group]:
    """LSMS, images and sentences to logits at stride 4, beside SegNeXt decoded at that size."""
    for name, variant in variants_of(variants):
        ours, stock = build_lsms(variant).eval(), build_stock(variant, text=False).eval()
        stock.load_ours(ours.state_dict())
        turned = copy.deepcopy(stock).to(memory_format=torch.channels_last)
        fused = fuse(ours)
        for size in sizes:
            for batch in batches:
                x, ids = images(size, batch), token_ids(batch)
                with torch.no_grad():
                    text = ours.text_encoder(*ids)
                calls = {
                    'SegNeXt at stride 4': partial(stock, x),
                    'the same, channels-last': partial(turned, x.contiguous(memory_format=torch.channels_last)),
                    'LSMS, words encoded before': partial(logits, ours, x, text),
                    'LSMS, folded, words encoded before': partial(logits, fused, x, text),
                    'LSMS with BERT': partial(logits, ours, x, ids),
                    'LSMS, folded, with BERT': partial(logits, fused, x, ids),
                }
                yield Group(
                    f'lsms/{name}/{size}/{batch}',
                    f'whole model, evaluation, a sentence of {TOKENS} tokens an image',
                    {key: no_grad(call) for key, call in calls.items()},
                    'SegNeXt at stride 4',
                    dict(pixels=size * size, batch=batch),
                )


def logits(model: TextEncoderDecoder, x: Tensor, text: TextFeatures | tuple[Tensor, Tensor]) -> Tensor:
    """Ours, from encoded text, or from token ids and their mask."""
    if not isinstance(text, TextFeatures):
        text = model.text_encoder(*text)
    return model.decode_head(model.extract_feat(x, text), text=text)


class LSMSLosses(nn.Module):
    """Our visual parts, called as the stock-style ones are.

    Args:
        model: from :func:`build_lsms`; its text encoder is not taken over.
    """

    def __init__(self, model: TextEncoderDecoder):
        super().__init__()
        self.backbone, self.decode_head = model.backbone, model.decode_head

    def loss(self, x: Tensor, samples: list[SegDataSample], text: TextFeatures) -> dict:
        """Losses of a batch."""
        maps = self.backbone(x.contiguous(memory_format=torch.channels_last), text)
        return self.decode_head.loss(maps, samples, None, text=text)


class Step:
    """One step of training: losses, backward, AdamW.

    Args:
        model: with ``loss(x, samples, text)``.
        text_encoder: trained with it; None where the words come encoded.
        compile_with: backend of ``torch.compile`` for the way to the losses; None: eager.
    """

    def __init__(self, model: nn.Module, text_encoder: nn.Module | None = None, compile_with: str | None = None):
        self.model, self.text_encoder = model.train(), text_encoder
        loss = self.model.loss
        self.loss = torch.compile(loss, backend=compile_with, dynamic=False) if compile_with else loss
        parts = [model] if text_encoder is None else [model, text_encoder.train()]
        self.optimizer = torch.optim.AdamW([p for part in parts for p in part.parameters()], lr=3e-5, weight_decay=0.01)

    def __call__(self, x: Tensor, samples: list[SegDataSample], text) -> float:
        """Step; the sum of the losses.

        Args:
            x: images (B, 3, H, W).
            samples: truths.
            text: TextFeatures, or with a text encoder its arguments.
        """
        if self.text_encoder is not None:
            text = self.text_encoder(*text)
        losses = self.loss(x, samples, text)
        total = sum(value for key, value in losses.items() if key.startswith('loss'))
        total.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return total.item()


def step_groups(
    sizes: Sequence[int] = (256, 480), batches: Sequence[int] = (2,), variants: Sequence[str] = ('tiny', 'base')
) -> Iterator[Group]:
    """A training step of LSMS beside the same model from stock-style modules, without and with BERT."""
    for name, variant in variants_of(variants):
        whole, stock = build_lsms(variant), build_stock(variant, text=True)
        stock.load_ours(whole.state_dict())
        ours = LSMSLosses(whole)
        for with_bert in (False, True):
            # Both train one BERT: its weights are not what is compared, and two would only fill the memory.
            encoder = whole.text_encoder if with_bert else None
            steps = {'stock-style': Step(stock, encoder), 'LSMS': Step(ours, encoder)}
            for size in sizes:
                for batch in batches:
                    ids = token_ids(batch)
                    with torch.no_grad():
                        data = images(size, batch), samples(size, batch), ids if with_bert else whole.text_encoder(*ids)
                    yield Group(
                        f'step{"-bert" if with_bert else ""}/{name}/{size}/{batch}',
                        'training step: losses, backward, AdamW' + (', BERT trained with it' if with_bert else ''),
                        {key: partial(step, *data) for key, step in steps.items()},
                        'stock-style',
                        dict(pixels=size * size, batch=batch),
                    )
