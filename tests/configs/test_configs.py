"""Every config: it can be read, its parts agree, its model builds without a network, and its head tells the truth."""

import ast
import re
import socket
from functools import cache, lru_cache
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmseg.models.backbones import MSCAN
from mmseg.registry import METRICS, MODELS

from mmseg_textseg.apis import load_config
from mmseg_textseg.apis.config import find, innermost
from mmseg_textseg.models.backbones import SVLAEncoder
from mmseg_textseg.models.layers import match_weights

ROOT = Path(__file__).resolve().parents[2]
PATHS = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / 'configs').glob('*/**/*.py') if p.parts[-3] != '_base_')
SPLITS = ('train', 'val', 'test')
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
    return backbone.type == 'PPE' and bool(backbone.text_channels) and backbone.get('token_mixing', 'conv') == 'conv'


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
    folders = {Path(path).parent.as_posix() for path in PATHS}
    assert {'configs/lsms', 'configs/mptpn', 'configs/mptpn/ablations', 'configs/phantom'} <= folders
    assert any(raw(path).model.type == 'PPESimSiam' for path in PATHS)
    assert any(tied(raw(path)) for path in PATHS)


@pytest.mark.parametrize('path', PATHS)
def test_head_names_a_command_and_files_that_exist(path):
    text = head(path)
    commands = re.findall(r'^python (tools/\S+)(.*)$', text, re.MULTILINE)
    assert commands, 'the file opens with the command that runs it'
    assert any(path in rest.split() for _, rest in commands), 'a command runs this very config'
    named = set(re.findall(r'\b(?:tools|configs|docs)/[\w./-]+\.(?:py|md)\b', text))
    named |= {f'{Path(path).parent}/{name}' for name in re.findall(r'(?<![\w./-])[\w-]+\.py\b', text)}
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
    cfg = raw(path)
    encoder = cfg.model.get('text_encoder')
    if encoder is None:
        assert not [part for part in find(cfg.model) if part.get('text_channels')]
        return
    source = encoder.get('tokenizer') or encoder.pretrained
    assert all(step.tokenizer == source for step in steps(cfg, 'TokenizeText'))
    width = (encoder.get('arch') or {}).get('hidden_size', 768)
    head = cfg.model.get('decode_head', {})
    readers = [cfg.model.backbone, *([head] if head.get('loss_contrast') else [])]
    assert list(find(cfg.model, text_channels=width)) == readers == [p for p in find(cfg.model) if 'text_channels' in p]


@pytest.mark.parametrize('path', [path for path in PATHS if tied(raw(path))])
def test_tokens_and_images_are_those_of_a_tied_backbone(path):
    cfg = raw(path)
    backbone = cfg.model.backbone
    assert {step.get('max_tokens', 20) for step in steps(cfg, 'TokenizeText')} == {backbone.num_text_tokens}
    assert {step.scale for step in steps(cfg, 'Resize')} == {(backbone.img_size, backbone.img_size)}
    divisor = cfg.model.data_preprocessor.size_divisor
    assert backbone.img_size % divisor == 0, 'padding would make it larger'


@pytest.mark.parametrize('path', PATHS)
def test_parts_agree(path):
    cfg = raw(path)
    assert cfg.default_scope == 'mmseg'
    assert 'mmseg_textseg' in cfg.custom_imports.imports
    loop = cfg.train_cfg
    last = cfg.param_scheduler[-1]
    length = loop.get('max_epochs', loop.get('max_iters'))
    assert last.end == length
    assert last.get('T_max', length) == length
    assert last.by_epoch == (loop.type == 'EpochBasedTrainLoop') == cfg.log_processor.by_epoch
    checkpoints = cfg.default_hooks.checkpoint
    assert checkpoints.get('by_epoch', True) == last.by_epoch
    if cfg.model.type == 'PPESimSiam':
        check_pretraining(cfg)
    else:
        check_segmentation(cfg)


def check_pretraining(cfg: Config) -> None:
    """No masks, nothing to evaluate; whole batches only; the run stops where encodings collapse."""
    assert splits(cfg) == ('train',)
    assert 'save_best' not in cfg.default_hooks.checkpoint
    assert 'CollapseMonitorHook' in [hook.type for hook in cfg.custom_hooks]
    loader = cfg.train_dataloader
    assert loader.batch_size > 1
    assert loader.drop_last or loader.sampler.type == 'InfiniteSampler'
    assert cfg.model.data_preprocessor.type == 'TwoViewDataPreProcessor'
    for part in innermost(loader.dataset):
        assert part.type == 'ImageCaptionDataset'
        names = [step.type for step in part.pipeline]
        assert 'LoadMask' not in names
        assert names[-2:] == ['TwoViews', 'PackViews']
    assert not list(find(loader.dataset, type='RandomFlip')), 'captions name sides'


def check_segmentation(cfg: Config) -> None:
    """Masks at their own size in evaluation; a table of its own for each split."""
    assert splits(cfg) == SPLITS
    assert cfg.default_hooks.checkpoint.save_best == 'dice'
    files = []
    for split in SPLITS:
        if split != 'train':
            METRICS.build(cfg[f'{split}_evaluator'])
        for part in innermost(cfg[f'{split}_dataloader'].dataset):
            files.append(part.ann_file)
            names = [step.type for step in part.pipeline]
            assert bool(part.get('test_mode')) == (split != 'train')
            assert names[-1] == 'PackTextSegInputs'
            if 'Resize' not in names:
                continue
            if split == 'train':
                assert names.index('LoadMask') < names.index('Resize'), 'training is at the size of the pipeline'
            else:
                assert names.index('Resize') < names.index('LoadMask'), 'evaluation is at the own size'
    assert len(set(files)) == len(files) >= 3, 'a split of its own for each'


@pytest.mark.parametrize('path', PATHS)
def test_settled_config_builds(path):
    cfg = settled(path)
    encoder = cfg.model.get('text_encoder')
    if encoder is None:
        assert not list(find([cfg.get(f'{split}_dataloader') for split in SPLITS], type='TokenizeText'))
    else:
        assert all(step.tokenizer == encoder.tokenizer for step in steps(cfg, 'TokenizeText'))
    for split in splits(cfg):
        for part in innermost(cfg[f'{split}_dataloader'].dataset):
            Compose(part.pipeline)
    model = built(path)
    width = None if encoder is None else model.text_encoder.out_channels
    # A stock backbone knows no text.
    assert getattr(model.backbone, 'text_channels', None) == width
    head = getattr(model, 'decode_head', None)
    assert getattr(head, 'text_channels', width) == width
    frozen = [] if encoder is None or not encoder.get('frozen') else list(model.text_encoder.parameters())
    assert not any(p.requires_grad for p in frozen)
    assert not model.train().text_encoder.training if frozen else model.training
    assert {id(p) for p in model.parameters() if not p.requires_grad} == {id(p) for p in frozen}
    check_optimizer(cfg, model)


def check_optimizer(cfg: Config, model) -> None:
    """Every parameter that asks for it is trained, at its own rate; LSMS decays no bias."""
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    groups = {id(p): group for group in wrapper.optimizer.param_groups for p in group['params']}
    rate = cfg.optim_wrapper.optimizer.lr
    options = cfg.optim_wrapper.get('paramwise_cfg') or {}
    if cfg.model.backbone.type == 'SVLAEncoder':
        assert options.bias_decay_mult == options.norm_decay_mult == 0
    keys = (options.get('custom_keys') or {}).items()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = next((given.lr_mult for key, given in keys if key in name), 1)
        assert groups[id(parameter)]['lr'] == pytest.approx(rate * factor), name
        if name.endswith('.bias') and factor == 1 and 'bias_decay_mult' in options:
            assert groups[id(parameter)]['weight_decay'] == 0, name


def stage_1(path: str) -> str | None:
    """The checkpoint of ours that a config starts from."""
    source = (raw(path).model.backbone.get('init_cfg') or {}).get('checkpoint', '')
    return source if source.startswith('work_dirs/') else None


def test_some_configs_start_from_another():
    assert len([path for path in PATHS if stage_1(path)]) > 5


@pytest.mark.parametrize('path', [path for path in PATHS if stage_1(path)])
def test_stage_2_starts_from_what_stage_1_writes(path):
    cfg, checkpoint = raw(path), stage_1(path)
    (first,) = (p for p in PATHS if Path(p).stem == Path(checkpoint).parent.name)
    earlier = raw(first)
    assert earlier.model.type == 'PPESimSiam'
    loop = earlier.train_cfg
    last = f'iter_{loop.max_iters}' if 'max_iters' in loop else f'epoch_{loop.max_epochs}'
    assert checkpoint == f'work_dirs/{Path(first).stem}/{last}.pth'
    assert earlier.default_hooks.checkpoint.get('save_last', True)
    assert cfg.model.backbone.init_cfg == dict(type='StrictPretrained', checkpoint=checkpoint, prefix='backbone.')
    for key in ('mean', 'std', 'bgr_to_rgb'):
        assert cfg.model.data_preprocessor[key] == earlier.model.data_preprocessor[key]
    encoder, trained = cfg.model.text_encoder, dict(earlier.model.text_encoder)
    if trained['pretrained'] is None:
        expected = dict(type='StrictPretrained', checkpoint=checkpoint, prefix='text_encoder.')
        assert {**encoder, 'init_cfg': None} == {**trained, 'init_cfg': None}
        assert encoder.init_cfg == expected
    else:
        assert encoder == trained
        assert encoder.frozen, 'stage 2 and stage 1 have the same one'
    with_weights, fresh = MODELS.build(earlier.model.backbone), MODELS.build(cfg.model.backbone)
    match_weights(fresh, with_weights.state_dict(), checkpoint)


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
    said = {path: re.search(r'([\d.]+) M parameters with its text encoder', head(path)) for path in PATHS}
    ((path, words),) = ((path, words) for path, words in said.items() if words)
    assert path == 'configs/phantom/lsms-xs_phantom_96x96.py'
    assert parameters(built(path)) / 1e6 == pytest.approx(float(words[1]), abs=0.05)
