"""Ablation rows over every base that the suite swaps in: the model builds, and has the row's change and no other."""

from functools import lru_cache
from pathlib import Path

import pytest
from mmengine.config import Config
from mmseg.registry import MODELS
from reading_configs import ROOT, VOCAB

from mmseg_textseg.apis import load_config
from mmseg_textseg.apis.config import find
from mmseg_textseg.apis.suite.rows import COUNTERPARTS, find_rows, swap_base
from mmseg_textseg.models.backbones import SVLAEncoder

# A text encoder that is built in no time; the widths of all that reads its tokens follow.
TINY = {
    'model.text_encoder.pretrained': 'scratch',
    'model.text_encoder.tokenizer': dict(vocab=VOCAB),
    'model.text_encoder.arch': dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16),
}


def rows(method: str) -> dict[str, Path]:
    paths = sorted((ROOT / f'configs/{method}/ablations').glob('*.py'))
    return {path.stem.split('_')[0].removeprefix(f'{method}-'): path for path in paths}


LSMS, MPTPN = rows('lsms'), rows('mptpn')
# MoNuSeg's models are BUSI's.
OVER = [(of, path) for (of, data), path in COUNTERPARTS.items() if of in ('lsms', 'mptpn') and data != 'monuseg']
CASES = [(method, base, row) for method, base in OVER for row in rows(method)]


def load(path: Path) -> Config:
    text = Config.fromfile(path).model.get('text_encoder') is not None
    return load_config(str(path), dict(TINY) if text else {}, build_vocab=text)


@lru_cache(maxsize=2)
def reference(base: str):
    """The base itself, as config and as model."""
    cfg = load(ROOT / base)
    return cfg, MODELS.build(cfg.model)


def over(base: str, row: Path, folder: Path) -> Config:
    """What the suite runs: the text of the row over another base."""
    path = folder / row.name
    path.write_text(swap_base(row.read_text(), str(ROOT / base), row.name))
    return load(path)


def changed(ours, theirs, at: str = '') -> set[str]:
    """Keys whose values differ, down to where one side is no dict."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = {key: (ours.get(key), theirs.get(key)) for key in {*ours, *theirs}}
        return {found for key, (a, b) in keys.items() for found in changed(a, b, f'{at}.{key}'.strip('.'))}
    return set() if ours == theirs else {at}


def parameters(module) -> int:
    return sum(p.numel() for p in module.parameters())


def svla_facts(model) -> dict:
    """What Table III varies, read off the model."""
    units = [m for n, m in model.backbone.named_modules() if n.endswith('spatial_gating_unit')]

    def one(values):
        (value,) = set(values)
        return value

    head, stages = model.decode_head, [n for n, _ in model.backbone.named_children() if n.startswith('block')]
    shapes = [tuple(getattr(u, f'conv{i}_1').kernel_size[1] for i in range(u.num_units)) for u in units]
    mlps = getattr(head, 'mlps', None)
    return dict(
        kernels=one(shapes),
        words=one(u.language is not None for u in units),
        pixel_map=one(u.language is not None and u.language.v2 is not None for u in units),
        gate=one(u.language is not None and u.language.gate is not None for u in units),
        stages=len(stages),
        reads=tuple(head.in_index),
        head=type(head).__name__,
        ham=hasattr(head.hamburger, 'ham'),
        mlps=None if mlps is None else tuple(m.conv.in_channels for m in mlps),
        contrast=head.loss_contrast is not None,
    )


FULL = dict(
    kernels=(7, 11, 21),
    words=True,
    pixel_map=True,
    gate=False,
    stages=4,
    reads=(1, 2, 3),
    head='FullScaleHead',
    ham=True,
    mlps=None,
    contrast=True,
)
ALL = (0, 1, 2, 3)
# Row -> what it changes; True in ``mlps`` stands for one on each map that is read.
LSMS_CHANGES = {
    **{f'a-kernel-{k}': dict(kernels=(k,)) for k in (5, 7, 11, 15, 19, 21)},
    **{f'b-kernels-{a}-{b}-no-pm': dict(kernels=(a, b), pixel_map=False) for a, b in ((7, 11), (7, 21), (11, 21))},
    'b-no-pm': dict(pixel_map=False),
    'c-no-fsd': dict(head='SingleStageHead', reads=(3,), ham=False),
    'd-p4-head-mlp': dict(reads=(3,)),
    'd-mlp-concat-mlp': dict(reads=ALL, ham=False, mlps=True),
    'd-mlp-concat-head-mlp': dict(reads=ALL, mlps=True),
    'de-p1-4': dict(reads=ALL),
    'e-p1': dict(reads=(0,), stages=1),
    'e-p1-2': dict(reads=(0, 1), stages=2),
    'e-p1-3': dict(reads=(0, 1, 2), stages=3),
    'e-p2-4': {},  # over a base that reads other stages
    'textfree': dict(words=False, pixel_map=False, contrast=False),
    'text-half': {},
    'text-quarter': {},
    'gate': dict(gate=True, pixel_map=False),
}


def test_the_papers_stages_over_a_base_that_reads_all(tmp_path):
    base = 'configs/phantom/lsms-xs-p1-4_phantom_96x96.py'
    _, whole = reference(base)
    assert svla_facts(whole) == {**FULL, 'reads': ALL}
    model = MODELS.build(over(base, LSMS['e-p2-4'], tmp_path).model)
    assert svla_facts(model) == FULL


def test_every_row_is_here_and_every_base():
    assert LSMS_CHANGES.keys() == LSMS.keys()
    assert len(LSMS) == 23
    assert MPTPN.keys() == {f'no-{part}' for part in ('downvit', 'msff', 'pretraining', 'text', 'upattention', 'upvit')}
    wanted = {
        'configs/phantom/lsms-xs_phantom_96x96.py',
        'configs/lsms/lsms-t_busi_160x160.py',
        'configs/phantom/mptpn-c8_phantom_96x96.py',
        'configs/mptpn/mptpn-c16_busi_224x224.py',
    }
    assert wanted <= {base for _, base in OVER}


@pytest.mark.parametrize('method', ['lsms', 'mptpn'])
@pytest.mark.parametrize('data', ['phantom', 'busi'])
def test_the_suite_takes_the_folder(method, data):
    found = find_rows([str(ROOT / f'configs/{method}/ablations')], data)
    assert [row.name for row in found] == ['full', *(path.stem.split('_')[0] for path in rows(method).values())]


@pytest.mark.parametrize(
    'path',
    [
        p.relative_to(ROOT).as_posix()
        for p in sorted((ROOT / 'configs').glob('*/**/*.py'))
        if p.parts[-3] != '_base_' and p.name.startswith(('lsms', 'mptpn'))
    ],
)
def test_widths_named_are_widths_built(path):
    """Rows read ``_base_.widths``: a config that changes the encoder has to keep them in step."""
    cfg = Config.fromfile(ROOT / path)
    backbone = cfg.model.backbone
    if backbone.type == 'SVLAEncoder':
        arch = backbone.arch if isinstance(backbone.arch, dict) else SVLAEncoder.ARCHS[backbone.arch]
        assert list(cfg.widths) == list(arch['widths'])
    elif backbone.type == 'PPE':
        assert list(cfg.widths) == [backbone.base_channels * 2**i for i in range(3)]


@pytest.mark.parametrize(('method', 'base', 'name'), CASES, ids=[f'{n}-over-{Path(b).stem}' for _, b, n in CASES])
def test_row_over_base(method, base, name, tmp_path):
    was, whole = reference(base)
    row = rows(method)[name]
    cfg = over(base, row, tmp_path)
    model = MODELS.build(cfg.model)
    if method == 'lsms':
        check_lsms(name, model, whole)
    else:
        check_mptpn(name, cfg, model, whole, was)
    check_rest(name, cfg, was)


def check_lsms(name: str, model, whole) -> None:
    assert svla_facts(whole) == FULL
    expected, widths = {**FULL, **LSMS_CHANGES[name]}, whole.backbone.out_channels
    if expected['mlps']:
        expected['mlps'] = tuple(widths[i] for i in expected['reads'])
    assert svla_facts(model) == expected
    head, built = model.decode_head, model.backbone.out_channels
    assert built == widths[: expected['stages']]
    reads = sum(built[i] for i in expected['reads'])
    if name == 'c-no-fsd':
        assert head.conv_seg.in_channels == reads
        text = head.text_proj.in_features
        assert parameters(head) == (2 * reads + 2) + (text * reads + reads)
    else:
        mlp = head.mlps[0].conv.out_channels if head.mlps is not None else None
        assert head.squeeze.conv.in_channels == (reads if mlp is None else mlp * len(expected['reads']))
        assert mlp in (None, whole.decode_head.channels)
        assert head.channels == whole.decode_head.channels
    if name == 'gate':
        units = [m for n, m in model.backbone.named_modules() if n.endswith('.language')]
        assert all(m.scale == pytest.approx(m.l1.out_features**-0.5) for m in units)
    assert (getattr(model, 'text_encoder', None) is None) == (name == 'textfree')


def check_mptpn(name: str, cfg: Config, model, whole, was: Config) -> None:
    widths = list(was.widths)
    backbone, head = model.backbone, model.decode_head
    parts = {n for n, _ in backbone.named_children()}
    gone = {n for n, _ in whole.backbone.named_children()} - parts
    assert parts <= {n for n, _ in whole.backbone.named_children()}
    has_msff = [type(m).__name__ for m in model.modules()].count('MSFF')
    assert has_msff == (0 if name == 'no-msff' else 1)
    assert (parameters(backbone) < parameters(whole.backbone)) == (name in ('no-downvit', 'no-upvit', 'no-text'))
    kind = {'no-msff': 'UpAttentionHead', 'no-upattention': 'FCNHead'}.get(name, 'MSFFUpAttentionHead')
    assert type(head).__name__ == kind
    if name == 'no-upattention':
        assert list(model.neck.in_channels) == widths
        assert head.in_channels == 3 * sum(widths)
        assert head.channels == 3 * widths[0]
    if name == 'no-text':
        assert getattr(model, 'text_encoder', None) is None
        assert gone
        assert not backbone.uses_text
    if name == 'no-pretraining':
        assert not list(find(cfg.model, type='StrictPretrained'))
    if name in ('no-downvit', 'no-upvit'):
        assert gone
        assert backbone.uses_text


def check_rest(name: str, cfg: Config, was: Config) -> None:
    """Data, schedule and the rest are the base's, but for what a row says of them."""
    found = changed(cfg._cfg_dict, was._cfg_dict)
    outside = {key for key in found if not key.startswith('model.')}
    if name in ('text-half', 'text-quarter'):
        share = 0.5 if name == 'text-half' else 0.25
        assert outside == found == {'test_dataloader.dataset.partial_text'}
        assert cfg.test_dataloader.dataset.partial_text == share
        assert not list(find([cfg.train_dataloader, cfg.val_dataloader], partial_text=share))
    elif name == 'e-p2-4':
        assert not found  # these bases read them already
    elif name in ('textfree', 'no-text'):
        # A learning rate of the text encoder's own is for one that is there, and not from scratch.
        assert all('pipeline' in key or key.endswith('custom_keys.text_encoder') for key in outside)
        loaders = [cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader]
        assert not list(find(loaders, type='TokenizeText'))
    else:
        assert not outside
        starts_fresh = not list(find(was.model, type='StrictPretrained'))
        assert found or (name == 'no-pretraining' and starts_fresh)
