"""Fixtures shared by all tests: no network, one thread, fixed seeds, a quiet logger, tiny parts."""

import os

os.environ['HF_HUB_OFFLINE'] = '1'  # before transformers is imported; no test may reach the network
os.environ['TOKENIZERS_PARALLELISM'] = 'false'

import logging
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import save_checkpoint
from mmseg.registry import MODELS
from torch import nn

from mmseg_textseg.apis import load_config
from mmseg_textseg.datasets.phantom import make_phantom
from mmseg_textseg.models import TextFeatures

torch.set_num_threads(1)  # tiny tensors: more threads only wait for one another

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session', autouse=True)
def _quiet_logger():
    # BaseModule.init_weights logs two lines a parameter.
    MMLogger.get_current_instance().setLevel(logging.WARNING)


@pytest.fixture(autouse=True)
def _seeds():
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (mmcv's transforms draw from the global state)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_runner_before():
    # A Runner leaves behind a default scope, in which other tests' parts would be looked for, and a logger with a file.
    for instances in (DefaultScope._instance_dict, MMLogger._instance_dict):
        for name in [name for name in instances if name != 'mmengine' and not name.startswith('overwrite')]:
            instances.pop(name)


class _Lines(logging.Handler):
    def __init__(self):
        super().__init__(logging.INFO)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@pytest.fixture
def log_lines():
    """Messages that mmengine's current logger gets at INFO and above; they do not reach the console."""
    logger, handler = MMLogger.get_current_instance(), _Lines()
    handlers, level = logger.handlers, logger.level
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    yield handler.lines
    logger.handlers = handlers
    logger.setLevel(level)


@pytest.fixture
def tiny_arch():
    """``arch`` of an SVLAEncoder that runs in milliseconds."""
    return dict(widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratios=(2, 2, 2, 2))


@pytest.fixture
def tiny_bert():
    """``arch`` of a BertTextEncoder, 16 wide; without dropout, so that training mode is repeatable."""
    return dict(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


@pytest.fixture
def make_text():
    """Function (lengths, channels, pad_to, dtype) -> TextFeatures of random tokens, zeros on padding."""

    def make(lengths=(5, 3), channels=12, pad_to=None, dtype=torch.float32, requires_grad=False):
        size = max(1, max(lengths)) if pad_to is None else pad_to
        mask = torch.arange(size) < torch.tensor(lengths)[:, None]
        tokens = torch.randn(len(lengths), size, channels, dtype=dtype) * mask[..., None]
        return TextFeatures.from_tokens(tokens.requires_grad_(requires_grad), mask)

    return make


@pytest.fixture
def randomise():
    """Function that draws every weight and running statistic anew: fresh norms and layer scales hide mistakes."""

    def draw(module: nn.Module, scale: float = 0.3) -> nn.Module:
        with torch.no_grad():
            for name, value in (*module.named_parameters(), *module.named_buffers()):
                if name.endswith('running_var'):
                    value.uniform_(0.5, 1.5)
                elif value.is_floating_point() and not name.endswith('bases'):
                    fan_in = value[0].numel() if value.dim() > 1 else 1
                    value.normal_(0, 1.5 * fan_in**-0.5 if value.dim() > 1 else scale)
                    if 'layer_scale' in name:
                        value.mul_(0.1).add_(0.1)  # ten times SegNeXt's; at 1 rounding grows from block to block
                    elif value.dim() == 1 and name.endswith('weight'):
                        value.add_(1)  # scales of norms
        return module

    return draw


CONFIG = """
_base_ = '{root}/configs/phantom/lsms-xs_phantom_96x96.py'
model = dict(
    text_encoder=dict(
        tokenizer=dict(build_from='{data}/train.jsonl'),
        arch=dict(hidden_size=16, num_attention_heads=2, intermediate_size=32),
    ),
    backbone=dict(
        arch=dict(_delete_=True, widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratios=(2, 2, 2, 2))
    ),
    decode_head=dict(
        in_channels=[16, 24, 32], ham_channels=16, channels=16, rank=4, norm_cfg=dict(type='GN', num_groups=4)
    ),
)
train_dataloader = dict(dataset=dict(data_root='{data}'))
val_dataloader = dict(dataset=dict(data_root='{data}'))
test_dataloader = dict(dataset=dict(data_root='{data}'))
"""


@pytest.fixture(scope='session')
def phantom(tmp_path_factory) -> Path:
    """Six cases, 64 x 64; read only."""
    folder = tmp_path_factory.mktemp('phantom')
    make_phantom(folder, 6, size=64, slices_per_case=(1, 2), lesions=(1, 2), difficulty='easy', progress=False)
    return folder


@pytest.fixture(scope='session')
def tiny_config(phantom, tmp_path_factory) -> str:
    """Config file of a tiny LSMS on the phantom; read only."""
    path = tmp_path_factory.mktemp('configs') / 'tiny.py'
    path.write_text(CONFIG.format(root=ROOT.as_posix(), data=phantom.as_posix()))
    return str(path)


@pytest.fixture(scope='session')
def checkpoint(tiny_config, tmp_path_factory) -> str:
    """Random weights under which the text matters, written by mmengine."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(load_config(tiny_config).model)
    with torch.no_grad():
        model.text_encoder.bert.embeddings.word_embeddings.weight.normal_()
        for name, value in model.named_parameters():
            if 'layer_scale' in name:
                value.fill_(1.0)
        model.decode_head.conv_seg.weight.normal_(0, 2)
    path = str(tmp_path_factory.mktemp('checkpoint') / 'model.pth')
    save_checkpoint(dict(state_dict=model.state_dict(), meta={}), path)
    return path
