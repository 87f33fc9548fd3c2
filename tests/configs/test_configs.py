"""Every config: it can be read, its parts agree, its model builds without a network, and its head tells the truth."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.optim import build_optim_wrapper
from mmseg.registry import METRICS
from reading_configs import PATHS, ROOT, SPLITS, built, head, levels, raw, settled, splits, steps, tied

from mmseg_textseg.apis.config import find, innermost
from mmseg_textseg.models.text_encoding import uses_text


def test_there_are_configs():
    assert 'configs/lsms/lsms_refhl_480x480.py' in PATHS
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
    named = [part for part in find(cfg.model) if 'text_channels' in part]
    assert list(find(cfg.model, text_channels=width)) == named
    head = cfg.model.get('decode_head', {})
    assert (head in named) == bool(head.get('loss_contrast') or head.get('text_fusion'))
    assert [part for part in named if part is not head or head.get('text_fusion')], 'text reaches the logits'


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
    readers = [part for part in model.children() if uses_text(part)]
    widths = {part.text_channels for part in readers if hasattr(part, 'text_channels')}  # LViTHead's loss takes any
    assert widths == (set() if encoder is None else {model.text_encoder.out_channels})
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
