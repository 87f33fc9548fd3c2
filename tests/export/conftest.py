"""Tiny models as config and checkpoint, on three pictures."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import save_checkpoint
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from torch import nn

from mmseg_textseg.apis import load_config
from mmseg_textseg.export import ExportError, MaskGraph, Signature, build_model, export, read_signature
from mmseg_textseg.tokenization import SPECIAL

WORDS = ['the', 'bright', 'dark', 'square', 'left', 'right', 'of', 'it', '.']
SENTENCES = ['the bright square', 'the dark square left of it.', 'dark']
BERT = dict(
    type='BertTextEncoder',
    pretrained=None,
    tokenizer=dict(vocab=' '.join([*SPECIAL, *WORDS, *'abcdefgh'])),
    arch=dict(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, max_position_embeddings=16
    ),
)
SVLA = dict(
    type='SVLAEncoder',
    arch=dict(widths=(4, 8, 8, 8), depths=(1, 1, 1, 1), mlp_ratios=(1, 1, 1, 1)),
    kernel_sizes=(7,),
    text_channels=16,
)
FULL_SCALE = dict(
    type='FullScaleHead',
    in_channels=(8, 8, 8),
    ham_channels=8,
    channels=8,
    rank=4,
    eval_steps=2,
    norm_cfg=dict(type='GN', num_groups=2),
)
PPE = dict(
    type='PPE',
    base_channels=4,
    img_size=32,
    text_channels=16,
    num_text_tokens=8,
    patch_size=8,
    num_heads=2,
    mlp_ratio=1,
)
MSFF_HEAD = dict(type='MSFFUpAttentionHead', in_channels=(4, 8, 16))
ONE_CONV = dict(
    backbone=dict(type='OneConv', channels=4),
    decode_head=dict(
        type='FCNHead', in_channels=4, channels=4, num_convs=0, concat_input=False, num_classes=2, in_index=0
    ),
)
# name -> size of the pictures, parts.
MODELS_OF_TESTS = {
    'lsms': (64, dict(text_encoder=BERT, backbone=SVLA, decode_head=FULL_SCALE)),
    'mptpn': (32, dict(text_encoder=BERT, backbone=PPE, decode_head=MSFF_HEAD)),
    'mptpn-attention': (
        32,
        dict(
            text_encoder=BERT,
            # Half of the transformers: an operator takes 20 ms to export.
            backbone={**PPE, 'token_mixing': 'attention', 'up_vit': False},
            decode_head=MSFF_HEAD,
        ),
    ),
    'one-conv': (32, dict(type='EncoderDecoder', **ONE_CONV)),
    'one-conv-text': (32, dict(ONE_CONV, text_encoder=BERT, backbone=dict(type='OneConvText', channels=4))),
}


@MODELS.register_module()
class OneConv(BaseModule):
    """A backbone that traces in no time."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, stride=2, padding=1)

    def forward(self, x):
        return (self.conv(x).relu(),)


@MODELS.register_module()
class OneConvText(OneConv):
    """The same with a sentence."""

    uses_text = True

    def __init__(self, channels: int):
        super().__init__(channels)
        self.words = nn.Linear(16, channels)

    def forward(self, x, text):
        return (super().forward(x)[0] + self.words(text.pooled)[:, :, None, None],)


@pytest.fixture(scope='session')
def data(tmp_path_factory) -> Path:
    """Three pictures of several sizes, masks and sentences; read only."""
    folder, rng = tmp_path_factory.mktemp('data'), np.random.default_rng(0)
    for name in ('images', 'masks'):
        (folder / name).mkdir()
    rows = []
    for i, sentence in enumerate(SENTENCES):
        small = rng.integers(0, 256, (6, 5, 3), np.uint8)
        size = (40 + 10 * i, 70)
        cv2.imwrite(str(folder / f'images/{i}.png'), cv2.resize(small, size, interpolation=cv2.INTER_CUBIC))
        cv2.imwrite(str(folder / f'masks/{i}.png'), np.full(size[::-1], 255 * (i % 2), np.uint8))
        rows.append(dict(image=f'{i}.png', mask=f'{i}.png', expression=sentence))
    (folder / 'test.jsonl').write_text('\n'.join(map(json.dumps, rows)))
    return folder


def config(name: str, data: Path, **changes) -> dict:
    """A whole config; ``changes`` are those of the model."""
    size, parts = MODELS_OF_TESTS[name]
    preprocessor = dict(
        type='SegDataPreProcessor',
        mean=[120.0, 110.0, 100.0],
        std=[58.0, 57.0, 56.0],
        bgr_to_rgb=True,
        size_divisor=16,
        test_cfg=dict(size_divisor=16),
    )
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(size, size), keep_ratio=False),
        dict(type='LoadMask'),
        dict(type='TokenizeText', tokenizer=BERT['tokenizer'], max_tokens=8),
        dict(type='PackTextSegInputs'),
    ]
    dataset = dict(type='TextSegDataset', data_root=str(data), ann_file='test.jsonl', pipeline=pipeline)
    dataset |= dict(data_prefix=dict(img_path='images', seg_map_path='masks'), test_mode=True)
    model = dict(
        type='TextEncoderDecoder', data_preprocessor=preprocessor, train_cfg=dict(), test_cfg=dict(mode='whole')
    )
    return dict(
        custom_imports=dict(imports=['mmseg_textseg'], allow_failed_imports=False),
        default_scope='mmseg',
        model={**model, **parts, **changes},
        test_dataloader=dict(batch_size=1, dataset=dataset),
    )


@torch.no_grad()
def _calibrate(model, size: int) -> None:
    """Logits of the foreground as those of a trained model: random ones are huge, and so are their rounding errors."""
    images = F.interpolate(4 * torch.rand(2, 3, 8, 8) - 2, size=(size, size), mode='bicubic')
    text = ()
    if hasattr(model, 'text_encoder'):
        text = (model.text_encoder(torch.randint(5, 14, (2, 5)), torch.ones(2, 5, dtype=torch.bool)),)
    last = model.decode_head.conv_seg
    found = model.decode_head(model.extract_feat(images, *text))
    found = found[:, -1] - (found[:, 0] if found.shape[1] > 1 else 0)
    scale = 1.5 / found.std()
    last.weight.mul_(scale)
    last.bias.mul_(scale)[-1] -= scale * found.mean()


@pytest.fixture(scope='session')
def make(data, tmp_path_factory) -> Callable[..., SimpleNamespace]:
    """Function (name, **changes of the model) -> ``config`` and ``checkpoint``, two files, and ``cfg``.

    Weights are random, under which text matters and both classes are found.
    """
    folder = tmp_path_factory.mktemp('models')

    known = {}

    def make(name: str, **changes) -> SimpleNamespace:
        key = repr((name, changes))
        return known[key] if key in known else known.setdefault(key, create(name, **changes))

    def create(name: str, **changes) -> SimpleNamespace:
        number = len(list(folder.iterdir()))
        path, checkpoint = folder / f'{name}-{number}.py', folder / f'{name}-{number}.pth'
        # Config.dump lays the text out, which takes a second.
        path.write_text('\n'.join(f'{key} = {value!r}' for key, value in config(name, data, **changes).items()))
        torch.manual_seed(1)
        with DefaultScope.overwrite_default_scope('mmseg'):
            model = MODELS.build(load_config(str(path)).model)
        with torch.no_grad():
            for key, value in (*model.named_parameters(), *model.named_buffers()):
                if key.endswith('running_var'):
                    value.uniform_(0.5, 1.5)
                elif (
                    value.is_floating_point()
                    and value.dim() > 1
                    and not key.endswith('bases')
                    and 'data_preprocessor' not in key
                ):
                    value.normal_(0, 1.5 * value[0].numel() ** -0.5)
                elif 'layer_scale' in key:
                    value.fill_(0.2)
        _calibrate(model.eval(), MODELS_OF_TESTS[name][0])
        save_checkpoint(dict(state_dict=model.state_dict(), meta={}), str(checkpoint))
        cfg = load_config(str(path), checkpoint=str(checkpoint))
        return SimpleNamespace(config=str(path), checkpoint=str(checkpoint), cfg=cfg)

    return make


@pytest.fixture(scope='session')
def build(make) -> Callable[..., tuple]:
    """Function (name, size=, dynamic_size=, **changes) -> model, signature and graph."""

    def build(name: str, size=None, dynamic_size: bool = False, **changes) -> tuple:
        made = make(name, **changes)
        model = build_model(made.cfg, made.checkpoint)
        signature = read_signature(made.cfg, model, size, dynamic_size)
        return model, signature, MaskGraph(model, signature)

    return build


class Exported(NamedTuple):
    """A model and the folder that ``export`` made of it."""

    model: EncoderDecoder
    signature: Signature
    folder: Path
    about: dict
    files: SimpleNamespace

    @property
    def path(self) -> Path:
        return self.folder / self.about['model']


@pytest.fixture(scope='session')
def exported(make, build, tmp_path_factory) -> Callable[[str], Exported]:
    """Function name -> a model as ONNX, made once; read only. LSMS takes pictures of any size."""
    folder = tmp_path_factory.mktemp('exported')

    @cache
    def exported(name: str) -> Exported:
        free = name == 'lsms'
        # Their random weights are sensitive to rounding: with some releases of torch 3.1e-4.
        about = export(make(name).cfg, make(name).checkpoint, folder / name, dynamic_size=free, tolerance=1e-3)
        model, signature, _ = build(name, dynamic_size=free)
        return Exported(model, signature, folder / name, about, make(name))

    return exported


@pytest.fixture
def refused():
    """Function (pattern) -> a block that must end in an ExportError."""
    return lambda pattern: pytest.raises(ExportError, match=pattern)
