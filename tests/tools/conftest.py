"""A tiny trained-looking model for tools that use one: config, checkpoint, and the phantom it belongs to."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import save_checkpoint
from mmseg.registry import MODELS

from mmseg_textseg.apis import load_config
from mmseg_textseg.datasets.phantom import make_phantom

ROOT = Path(__file__).resolve().parents[2]
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
def tiny_model(tmp_path_factory) -> SimpleNamespace:
    """``config``, ``checkpoint`` (random weights under which the text matters) and ``data``; read only."""
    here = tmp_path_factory.mktemp('tiny_model')
    data = here / 'phantom'
    make_phantom(data, 6, size=64, slices_per_case=(1, 2), lesions=(1, 2), difficulty='easy', progress=False)
    config = here / 'tiny.py'
    config.write_text(CONFIG.format(root=ROOT.as_posix(), data=data.as_posix()))
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(load_config(str(config)).model)
    with torch.no_grad():
        model.text_encoder.bert.embeddings.word_embeddings.weight.normal_()
        for name, value in model.named_parameters():
            if 'layer_scale' in name:
                value.fill_(1.0)
        model.decode_head.conv_seg.weight.normal_(0, 2)
    checkpoint = here / 'model.pth'
    save_checkpoint(dict(state_dict=model.state_dict(), meta={}), str(checkpoint))
    return SimpleNamespace(config=config, checkpoint=checkpoint, data=data)
