"""A tiny phantom, a config of a tiny model on it, and a tiny BERT in a folder."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import save_checkpoint
from mmseg.registry import MODELS

from mmseg_textseg.apis import TextSegInferencer, load_config
from mmseg_textseg.datasets.phantom import make_phantom

ROOT = Path(__file__).resolve().parents[2]
WORDS = ['the', 'lesion', 'lesions', 'left', 'right', 'lobe', 'in', 'large', 'small', '.']

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


@pytest.fixture(scope='session')
def segment(tiny_config, checkpoint) -> TextSegInferencer:
    return TextSegInferencer(tiny_config, checkpoint, device='cpu')


@pytest.fixture(scope='session')
def bert_folder(tmp_path_factory) -> str:
    """A BERT 32 wide: config, weights, tokenizer."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp('weights') / 'bert-tiny'
    folder.mkdir()
    vocab = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *WORDS]
    (folder / 'vocab.txt').write_text('\n'.join(vocab))
    BertTokenizerFast(str(folder / 'vocab.txt')).save_pretrained(folder)
    sizes = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    BertModel(BertConfig(vocab_size=len(vocab), **sizes)).save_pretrained(folder)
    return str(folder)
