"""What the tests of configs read off them."""

import ast
from functools import cache, lru_cache, partial
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_textseg.apis import load_config
from mmseg_textseg.apis.config import find, innermost

ROOT = Path(__file__).resolve().parents[2]
PATHS = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / 'configs').glob('*/**/*.py') if p.parts[-3] != '_base_')
SPLITS = ('train', 'val', 'test')
VOCAB = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *(f'word{i}' for i in range(75))]


@cache
def raw(path: str) -> Config:
    """A config as it is written; read only."""
    return Config.fromfile(ROOT / path)


def splits(cfg: Config) -> tuple[str, ...]:
    """Those that a config has data for: all three, or training alone where there are no masks."""
    if cfg.model.type == 'PPESimSiam':
        assert all(
            cfg[f'{split}_{part}'] is None for split in SPLITS[1:] for part in ('cfg', 'dataloader', 'evaluator')
        )
        return SPLITS[:1]
    return SPLITS


def steps(cfg: Config, type_: str) -> list:
    """Transforms of a type in every pipeline that a run can use; at least one in each dataset."""
    found = []
    for split in splits(cfg):
        for part in innermost(cfg[f'{split}_dataloader'].dataset):
            here = list(find(part.pipeline, type=type_))
            assert here, f'{split}: {part.type} without {type_}'
            found += here
    return found + list(find(cfg.get('tta_pipeline'), type=type_))


def tied(cfg: Config) -> bool:
    """Whether the backbone takes one image size and one number of tokens."""
    backbone = cfg.model.backbone
    by_conv = backbone.type in ('PPE', 'LViT') and backbone.get('token_mixing', 'conv') == 'conv'
    return by_conv and bool(backbone.text_channels)


def settled(path: str, full: bool = False) -> Config:
    """A config as the tools see it. Not ``full``: one layer of BERT. Its vocabulary needs no data."""
    encoder = raw(path).model.get('text_encoder')
    options = {}
    if encoder is None:
        return load_config(str(ROOT / path))
    if isinstance(encoder.get('tokenizer'), dict):
        options['model.text_encoder.tokenizer'] = dict(vocab=VOCAB, _delete_=True)
    elif not full:
        options['model.text_encoder.arch'] = dict(num_hidden_layers=1)
    return load_config(str(ROOT / path), options)


@lru_cache(maxsize=1)
def built(path: str, full: bool = False):
    """The model, with shapes and no values: three times as quick."""
    config = settled(path, full).model
    with pytest.MonkeyPatch.context() as patch, torch.device('meta'):
        patch.setattr(torch, 'linspace', partial(torch.linspace, device='cpu'))  # drop path rates are read off it
        return MODELS.build(config)


def head(path: str) -> str:
    """The comment that a file opens with."""
    lines = (ROOT / path).read_text(encoding='utf-8').splitlines()
    end = next(i for i, line in enumerate(lines) if not line.startswith('#'))
    return '\n'.join(line.lstrip('# ') for line in lines[:end])


def bases(path: Path) -> list[Path]:
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            named = ast.literal_eval(node.value)
            names = [named] if isinstance(named, str) else named
            return [Path(Config._get_cfg_path(name, str(path))[0]).resolve() for name in names]  # 'mmseg::' too
    return []


def levels(path: Path) -> int:
    return max((1 + levels(base) for base in bases(path)), default=0)


def parameters(module) -> int:
    return sum(p.numel() for p in module.parameters())
