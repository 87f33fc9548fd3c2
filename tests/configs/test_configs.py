"""Every config: it can be read, its parts agree, its model builds without a network, and its head tells the truth."""

import ast
import re
import socket
from functools import lru_cache
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmseg.models.backbones import MSCAN
from mmseg.registry import METRICS, MODELS

from mmseg_textseg.apis import load_config
from mmseg_textseg.apis.config import find
from mmseg_textseg.models.backbones import SVLAEncoder

ROOT = Path(__file__).resolve().parents[2]
PATHS = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / 'configs').glob('*/*.py') if p.parent.name != '_base_')
VARIANTS = {
    'tiny': 'configs/lsms/lsms-t_refhl_480x480.py',
    'small': 'configs/lsms/lsms-s_refhl_480x480.py',
    'base': 'configs/lsms/lsms_refhl_480x480.py',
    'large': 'configs/lsms/lsms-l_refhl_480x480.py',
}
VOCAB = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *(f'word{i}' for i in range(75))]
BERT_BASE = 109_482_240 - (768 * 768 + 768)  # as published, without the pooler


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError('a config or a constructor reached for the network')

    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    monkeypatch.setattr(socket.socket, 'connect', refuse)
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)


@pytest.fixture(autouse=True)
def in_scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def settled(path: str, full: bool = False) -> Config:
    """A config as the tools see it. Not ``full``: one layer of BERT. Its vocabulary needs no data."""
    raw = Config.fromfile(ROOT / path)
    options = {}
    if raw.model.text_encoder is None:
        return load_config(str(ROOT / path))
    if isinstance(raw.model.text_encoder.get('tokenizer'), dict):
        options['model.text_encoder.tokenizer'] = dict(vocab=VOCAB, _delete_=True)
    elif not full:
        options['model.text_encoder.arch'] = dict(num_hidden_layers=1)
    return load_config(str(ROOT / path), options)


@lru_cache(maxsize=1)
def built(path: str, full: bool = False):
    return MODELS.build(settled(path, full).model)


def head(path: str) -> str:
    """The comment that a file opens with."""
    lines = (ROOT / path).read_text(encoding='utf-8').splitlines()
    end = next(i for i, line in enumerate(lines) if not line.startswith('#'))
    return '\n'.join(line.lstrip('# ') for line in lines[:end])


def bases(path: Path) -> list[Path]:
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            named = ast.literal_eval(node.value)
            return [(path.parent / name).resolve() for name in ([named] if isinstance(named, str) else named)]
    return []


def levels(path: Path) -> int:
    return max((1 + levels(base) for base in bases(path)), default=0)


def parameters(module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_there_are_configs():
    assert set(VARIANTS.values()) < set(PATHS)
    assert any(path.startswith('configs/phantom/') for path in PATHS)


@pytest.mark.parametrize('path', PATHS)
def test_head_names_a_command_and_files_that_exist(path):
    text = head(path)
    commands = re.findall(r'^python (tools/\S+)(.*)$', text, re.MULTILINE)
    assert commands, 'the file opens with the command that runs it'
    assert any(path in rest.split() for _, rest in commands), 'a command runs this very config'
    named = set(re.findall(r'\b(?:tools|configs|docs)/[\w./-]+\.(?:py|md)\b', text))
    named |= {f'{Path(path).parent}/{name}' for name in re.findall(r'(?<![\w/-])lsms[\w-]*\.py', text)}
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
    makefile = (ROOT / 'Makefile').read_text()
    for target in re.findall(r'\bmake ([a-z-]+)', text):
        assert f'\n{target}: ' in makefile, f'make {target}'


@pytest.mark.parametrize('path', PATHS)
def test_at_most_two_levels_of_inheritance(path):
    assert levels(ROOT / path) <= 2


@pytest.mark.parametrize('path', PATHS)
def test_one_tokenizer_and_one_width_as_written(path):
    """MMSegmentation's own tools synchronise nothing, so the file itself has to agree."""
    cfg = Config.fromfile(ROOT / path)
    encoder = cfg.model.text_encoder
    if encoder is None:
        assert not [part for part in find(cfg.model) if part.get('text_channels')]
        return
    source = encoder.get('tokenizer') or encoder.pretrained
    for split in ('train', 'val', 'test'):
        steps = list(find(cfg[f'{split}_dataloader'], type='TokenizeText'))
        assert [step.tokenizer for step in steps] == [source]
    width = (encoder.get('arch') or {}).get('hidden_size', 768)
    assert [part.text_channels for part in find(cfg.model) if part.get('text_channels')] == [width, width]


@pytest.mark.parametrize('path', PATHS)
def test_parts_agree(path):
    cfg = Config.fromfile(ROOT / path)
    assert cfg.default_scope == 'mmseg'
    assert 'mmseg_textseg' in cfg.custom_imports.imports
    loop = cfg.train_cfg
    last = cfg.param_scheduler[-1]
    assert last.end == loop.get('max_epochs', loop.get('max_iters'))
    assert last.by_epoch == (loop.type == 'EpochBasedTrainLoop') == cfg.log_processor.by_epoch
    checkpoints = cfg.default_hooks.checkpoint
    assert checkpoints.get('by_epoch', True) == last.by_epoch
    assert checkpoints.save_best == 'dice'
    for split in ('val', 'test'):
        METRICS.build(cfg[f'{split}_evaluator'])
        steps = [step.type for step in cfg[f'{split}_dataloader'].dataset.pipeline]
        if 'Resize' in steps:
            assert steps.index('Resize') < steps.index('LoadMask'), 'evaluation is at the own size'
    steps = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    if 'Resize' in steps:
        assert steps.index('LoadMask') < steps.index('Resize'), 'training is at the size of the pipeline'
    files = [cfg[f'{split}_dataloader'].dataset.ann_file for split in ('train', 'val', 'test')]
    assert len(set(files)) == 3, 'a split of its own for each'


@pytest.mark.parametrize('path', PATHS)
def test_settled_config_builds(path):
    cfg = settled(path)
    encoder = cfg.model.text_encoder
    sources = [] if encoder is None else [encoder.tokenizer]
    live = [cfg[key] for key in ('train_dataloader', 'val_dataloader', 'test_dataloader', 'tta_pipeline') if key in cfg]
    assert all([step.tokenizer for step in find(part, type='TokenizeText')] == sources for part in live)
    for split in ('train', 'val', 'test'):
        Compose(cfg[f'{split}_dataloader'].dataset.pipeline)
    model = built(path)
    width = None if encoder is None else model.text_encoder.out_channels
    assert model.backbone.text_channels == model.decode_head.text_channels == width
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    groups = {id(p): group for group in wrapper.optimizer.param_groups for p in group['params']}
    assert len(groups) == sum(p.requires_grad for p in model.parameters()), 'every parameter is trained'
    rate = cfg.optim_wrapper.optimizer.lr
    keys = (cfg.optim_wrapper.paramwise_cfg.get('custom_keys') or {}).items()
    for name, parameter in model.named_parameters():
        factor = next((options.lr_mult for key, options in keys if key in name), 1)
        assert groups[id(parameter)]['lr'] == pytest.approx(rate * factor), name
        if name.endswith('.bias') and factor == 1:
            assert groups[id(parameter)]['weight_decay'] == 0, name


def head_parameters(widths: list[int], ham: int, channels: int = 256, text: int = 768) -> int:
    """Squeeze, two convolutions of the Hamburger, align, classifier, text projection; group norms after three."""
    squeeze = sum(widths) * ham + 2 * ham
    hamburger = (ham * ham + ham) + (ham * ham + 2 * ham)
    align = ham * channels + 2 * channels
    return squeeze + hamburger + align + (channels * 2 + 2) + (text * channels + channels)


def language_parameters(widths: tuple[int, ...], depths: tuple[int, ...], text: int = 768) -> int:
    """Eq. 5-9, a block: v1, v2 and out C -> C, l1 and l2 text -> C, all with bias."""
    return sum(d * (3 * (c * c + c) + 2 * (text * c + c)) for c, d in zip(widths, depths, strict=True))


@pytest.mark.parametrize(
    ('variant', 'stages', 'ham', 'millions'),
    [
        ('tiny', [64, 160, 256], 256, 7.71),
        ('small', [128, 320, 512], 256, 21.16),
        ('base', [128, 320, 512], 768, 44.00),
        ('large', [128, 320, 512], 1024, 76.08),
    ],
)
def test_parameters_of_the_variants(variant, stages, ham, millions):
    """SegNeXt's encoder as MMSegmentation builds it, the language branches, the decoder; without BERT."""
    path = VARIANTS[variant]
    model = built(path, full=variant == 'base')
    arch = SVLAEncoder.ARCHS[variant]
    stock = MSCAN(
        embed_dims=list(arch['widths']), depths=list(arch['depths']), mlp_ratios=list(arch['mlp_ratios']),
        norm_cfg=dict(type='BN'),
    )  # fmt: skip
    language = language_parameters(arch['widths'], arch['depths'])
    assert parameters(model.backbone) == parameters(stock) + language
    assert parameters(model.decode_head) == head_parameters(stages, ham)
    visual = parameters(model) - parameters(model.text_encoder)
    assert visual / 1e6 == pytest.approx(millions, abs=0.005)
    if variant == 'base':
        assert parameters(model.text_encoder) == BERT_BASE
        assert parameters(model) / 1e6 == pytest.approx(152.89, abs=0.005)


def test_the_demo_has_as_many_parameters_as_its_head_says():
    (path,) = (path for path in PATHS if path.startswith('configs/phantom/'))
    said = float(re.search(r'([\d.]+) M parameters with its text encoder', head(path))[1])
    assert parameters(built(path)) / 1e6 == pytest.approx(said, abs=0.05)
