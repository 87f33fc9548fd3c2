"""Configs that start from others, and the numbers of parameters that are said."""

import re
from pathlib import Path

import pytest
from mmseg.models.backbones import MSCAN
from mmseg.registry import MODELS
from reading_configs import PATHS, built, head, parameters, raw

from mmseg_textseg.models.backbones import SVLAEncoder
from mmseg_textseg.models.layers import match_weights

VARIANTS = {
    'tiny': 'configs/lsms/lsms-t_refhl_480x480.py',
    'small': 'configs/lsms/lsms-s_refhl_480x480.py',
    'base': 'configs/lsms/lsms_refhl_480x480.py',
    'large': 'configs/lsms/lsms-l_refhl_480x480.py',
}
BERT_BASE = 109_482_240 - (768 * 768 + 768)  # as published, without the pooler


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
    if encoder is None:
        assert cfg.model.backbone.text_channels is None
    elif trained['pretrained'] is None:
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
    """Eq. 5-9, a block: v1, v2 and out C -> C without bias, l1 and l2 text -> C with one."""
    return sum(d * (3 * c * c + 2 * (text * c + c)) for c, d in zip(widths, depths, strict=True))


@pytest.mark.parametrize(
    ('variant', 'stages', 'ham', 'millions'),
    [
        ('tiny', [64, 160, 256], 256, 7.71),
        ('small', [128, 320, 512], 256, 21.15),
        ('base', [128, 320, 512], 768, 43.98),
        ('large', [128, 320, 512], 1024, 76.05),
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
        assert parameters(model) / 1e6 == pytest.approx(152.87, abs=0.005)


def test_the_demo_has_as_many_parameters_as_its_head_says():
    said = {path: re.search(r'([\d.]+) M parameters with its text encoder', head(path)) for path in PATHS}
    ((path, words),) = ((path, words) for path, words in said.items() if words)
    assert path == 'configs/phantom/lsms-xs_phantom_96x96.py'
    assert parameters(built(path)) / 1e6 == pytest.approx(float(words[1]), abs=0.05)
