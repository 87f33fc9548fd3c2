"""Fixtures shared by all tests: no network, one thread, fixed seeds, a quiet logger, tiny parts."""

import os

os.environ['HF_HUB_OFFLINE'] = '1'  # before transformers is imported; no test may reach the network
os.environ['TOKENIZERS_PARALLELISM'] = 'false'

import logging
import random

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from torch import nn

from mmseg_textseg.models import TextFeatures

torch.set_num_threads(1)  # tiny tensors: more threads only wait for one another


@pytest.fixture(scope='session', autouse=True)
def _quiet_logger():
    # BaseModule.init_weights logs two lines a parameter.
    MMLogger.get_current_instance().setLevel(logging.WARNING)


@pytest.fixture(autouse=True)
def _seeds():
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (mmcv's transforms draw from the global state)
    torch.manual_seed(0)


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
