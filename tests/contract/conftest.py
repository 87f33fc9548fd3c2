"""The models that the contract holds for, tiny: every part of ours, alone among stock parts and with one another."""

import copy
import socket

import pytest
import torch
from mixing_parts import BERT, BN, GN, PPE, SENTENCES, SVLA, SWIN, TOKENIZER, TOKENS, WIDTH
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_textseg.tokenization import load_tokenizer

RESNET = dict(
    type='ResNetV1c',
    depth=18,
    base_channels=8,
    stem_channels=8,
    num_stages=3,
    strides=(1, 2, 2),
    dilations=(1, 1, 1),
    out_indices=(0, 1, 2),
    norm_cfg=BN,
)
FULL_SCALE = dict(
    type='FullScaleHead',
    in_channels=(16, 24, 32),
    ham_channels=24,
    channels=16,
    rank=4,
    norm_cfg=GN,
    text_channels=WIDTH,
    loss_decode=dict(type='BoundaryWeightedSegLoss'),
    loss_contrast=dict(type='VisionLanguageContrastiveLoss', loss_weight=0.125),
)
MSFF_HEAD = dict(type='MSFFUpAttentionHead', in_channels=(8, 16, 32))
FCN = dict(
    type='FCNHead',
    in_channels=(8, 16, 32),
    in_index=(0, 1, 2),
    input_transform='resize_concat',
    channels=8,
    num_convs=1,
    num_classes=2,
    norm_cfg=GN,
)
LAVT = dict(type='LAVTSwin', text_channels=WIDTH, **SWIN)
LVIT = {**PPE, 'type': 'LViT'}
LVIT_HEAD = dict(type='LViTHead', in_channels=(8, 16, 32, 64, 64))
FREE = dict(text_channels=None)

# name -> size of image, side of the slide window, parts.
CASES = {
    'lsms': (64, 48, dict(text_encoder=BERT, backbone=SVLA, decode_head=FULL_SCALE)),
    'lsms-textfree': (64, 48, dict(backbone={**SVLA, **FREE}, decode_head={**FULL_SCALE, 'loss_contrast': None})),
    'mptpn': (32, 32, dict(text_encoder=BERT, backbone=PPE, decode_head=MSFF_HEAD)),
    'mptpn-attention': (
        32,
        24,
        dict(text_encoder=BERT, backbone={**PPE, 'token_mixing': 'attention'}, decode_head=MSFF_HEAD),
    ),
    'mptpn-textfree': (32, 24, dict(backbone={**PPE, **FREE}, decode_head=MSFF_HEAD)),
    'ppe-fcn': (32, 32, dict(text_encoder=BERT, backbone=PPE, decode_head=FCN)),
    'ppe-msff-fcn': (
        32,
        32,
        dict(
            text_encoder=BERT,
            backbone=PPE,
            neck=dict(type='MSFF', in_channels=(8, 16, 32)),
            decode_head={**FCN, 'in_channels': (24, 48, 96)},
        ),
    ),
    'ppe-up-attention': (
        32,
        32,
        dict(text_encoder=BERT, backbone=PPE, decode_head=dict(type='UpAttentionHead', in_channels=(8, 16, 32))),
    ),
    'resnet-msff-up-attention': (64, 48, dict(type='EncoderDecoder', backbone=RESNET, decode_head=MSFF_HEAD)),
    'resnet-msff-up-attention-ours': (64, 48, dict(backbone=RESNET, decode_head=MSFF_HEAD)),
    'svla-msff-up-attention': (
        64,
        48,
        dict(
            text_encoder=BERT,
            backbone={**SVLA, 'out_indices': (0, 1, 2)},
            decode_head={**MSFF_HEAD, 'in_channels': (8, 16, 24)},
        ),
    ),
    'svla-single-stage': (
        64,
        48,
        dict(
            text_encoder=BERT,
            backbone=SVLA,
            decode_head=dict(
                type='SingleStageHead',
                in_channels=32,
                text_channels=WIDTH,
                loss_contrast=dict(type='VisionLanguageContrastiveLoss', loss_weight=0.125),
            ),
        ),
    ),
    'resnet-full-scale': (
        64,
        48,
        dict(
            text_encoder=BERT,
            backbone=RESNET,
            decode_head={
                **FULL_SCALE,
                'in_channels': (8, 16, 32),
                'in_index': (0, 1, 2),
                'text_fusion': dict(type='LanguageFusion'),
            },
        ),
    ),
    'resnet-text-neck-fcn': (
        64,
        48,
        dict(
            text_encoder=BERT,
            backbone=RESNET,
            neck=dict(
                type='TextFusionNeck',
                in_channels=(8, 16, 32),
                text_channels=WIDTH,
                fusion=dict(type='CrossAttentionFusion', num_heads=2),
            ),
            decode_head=FCN,
        ),
    ),
    'lavt': (
        64,
        48,
        dict(
            text_encoder=BERT,
            backbone=LAVT,
            decode_head=dict(type='LAVTHead', in_channels=(8, 16, 32, 64), channels=8),
        ),
    ),
    'lvit': (32, 32, dict(text_encoder=BERT, backbone=LVIT, decode_head=LVIT_HEAD)),
    'lvit-textfree': (32, 24, dict(backbone={**LVIT, **FREE}, decode_head=LVIT_HEAD)),
}
TEXT = [name for name, (_, _, parts) in CASES.items() if 'text_encoder' in parts]


class Subject:
    """One model of the list: its config, the model, and batches that fit it."""

    def __init__(self, name: str, draw):
        self.name = name
        self.size, self.window, self.parts = copy.deepcopy(CASES[name])
        self.draw = draw
        self.text = name in TEXT

    def config(self, **changes) -> ConfigDict:
        base = dict(
            type='TextEncoderDecoder',
            data_preprocessor=dict(
                type='SegDataPreProcessor',
                mean=[127.5] * 3,
                std=[64.0] * 3,
                bgr_to_rgb=True,
                pad_val=0,
                seg_pad_val=255,
                size_divisor=16,
                test_cfg=dict(size_divisor=16),
            ),
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
        )
        return ConfigDict({**base, **self.parts, **changes})

    def build(self, **changes):
        return MODELS.build(self.config(**changes))

    def random(self, **changes):
        """Built and with random weights, in evaluation: weights that start at zero would hide what follows them.

        Statistics of its norms are of a batch, and its logits are centred, so that predictions have both classes.
        """
        torch.manual_seed(7)
        model = self.build(**changes)
        for name, part in model.named_children():
            if name != 'data_preprocessor':  # its mean and deviation are buffers too
                self.draw(part)
        norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the batch's own, not a tenth of it
        batch = self.batch()
        with torch.no_grad():
            model.train()(*batch)
        found = self.logits(model.eval(), *batch)
        foreground = found[:, 0] if found.shape[1] == 1 else found[:, 1] - found[:, 0]
        with torch.no_grad():
            model.decode_head.conv_seg.bias[-1] -= foreground.mean()
        return model

    def sample(self, sentence: str | None = SENTENCES[0], shape: tuple[int, int] | None = None) -> SegDataSample:
        """Of an image as large as the model's, or of another ``shape``; text where the model has text."""
        shape = shape or (self.size, self.size)
        made = SegDataSample(metainfo=dict(ori_shape=shape, img_shape=shape, pad_shape=shape, img_path='a.png'))
        truth = torch.zeros(1, *shape, dtype=torch.long)
        truth[:, shape[0] // 4 : shape[0] // 2, : shape[1] // 2] = 1
        made.gt_sem_seg = PixelData(data=truth)
        if self.text and sentence is not None:
            ids = torch.from_numpy(load_tokenizer(TOKENIZER).encode(sentence, TOKENS)[0])
            made.set_data(dict(text_ids=ids, text_mask=torch.ones_like(ids, dtype=torch.bool)))
            made.set_metainfo(dict(text=sentence))
        return made

    def batch(self, *sentences: str | None) -> tuple[torch.Tensor, list[SegDataSample]]:
        """Images as the preprocessor gives them, and their samples."""
        sentences = sentences or SENTENCES
        return 4 * torch.rand(len(sentences), 3, self.size, self.size) - 2, [self.sample(s) for s in sentences]

    def raw(self, *sentences: str) -> dict:
        """What a data loader gives: images as they are read, and their samples."""
        samples = self.batch(*sentences)[1]
        images = torch.randint(0, 256, (len(samples), 3, self.size, self.size), dtype=torch.uint8)
        return dict(inputs=list(images), data_samples=samples)

    def logits(self, model, inputs, samples) -> torch.Tensor:
        """Of ``predict``, before sigmoid or argmax: (B, out_channels, H, W)."""
        kept, post = [], model.postprocess_result

        def keep(logits, data_samples):
            kept.append(logits)
            return post(logits, data_samples)

        model.postprocess_result = keep
        try:
            with torch.no_grad():
                model(inputs, samples, mode='predict')
        finally:
            del model.postprocess_result
        return kept[0]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError('a model reached for the network')

    monkeypatch.setattr(socket.socket, 'connect', refuse)
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)


@pytest.fixture(autouse=True)
def in_scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture(params=list(CASES))
def subject(request, randomise) -> Subject:
    """Every model."""
    return Subject(request.param, randomise)


@pytest.fixture(params=TEXT)
def text_subject(request, randomise) -> Subject:
    """Every model with text."""
    return Subject(request.param, randomise)


@pytest.fixture(params=[name for name in CASES if name not in TEXT])
def free_subject(request, randomise) -> Subject:
    """Every model without text."""
    return Subject(request.param, randomise)


@pytest.fixture
def used_types() -> set[str]:
    """Registered names in the configs of the list."""

    def types(node):
        if isinstance(node, dict):
            yield node.get('type')
            for child in node.values():
                yield from types(child)
        elif isinstance(node, (list, tuple)):
            for child in node:
                yield from types(child)

    return {name for case in CASES for name in types(Subject(case, None).config())}
