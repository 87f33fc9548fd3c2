"""EPI: the formula, which items it concerns, and a run that trains with it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.models import SegDataPreProcessor
from mmseg.registry import HOOKS, TRANSFORMS
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_textseg.apis import load_config
from mmseg_textseg.engine import TextSegRunner
from mmseg_textseg.engine.epi_hook import EPIHook, foreground_probability

NO = 255


class Model(nn.Module):
    """Its logit is twice the first channel; with dropout while training, to tell the modes apart."""

    def __init__(self, channels=1):
        super().__init__()
        self.decode_head = SimpleNamespace(ignore_index=NO, out_channels=channels, threshold=0.4, align_corners=False)
        self.data_preprocessor = SegDataPreProcessor(size_divisor=4)
        self.dropout = nn.Dropout(0.9)

    def forward(self, inputs, data_samples, mode):
        assert mode == 'tensor'
        assert not torch.is_grad_enabled()
        assert all('gt_sem_seg' not in sample for sample in data_samples)
        logit = self.dropout(2 * inputs[:, :1])
        return torch.cat([0 * logit, logit], 1) if self.decode_head.out_channels == 2 else logit


def runner_of(model, iteration=0):
    return SimpleNamespace(model=model, iter=iteration)


def batch(values, hidden=None, size=(3, 5)):
    """Images of one value each; the masks of those in ``hidden`` (all by default) are hidden."""
    samples = [
        SegDataSample(
            gt_sem_seg=PixelData(data=torch.full((1, *size), NO if hidden is None or i in hidden else 1)),
            metainfo=dict(sample_id=f'item-{i}', img_path=f'{i}.png'),
        )
        for i in range(len(values))
    ]
    return dict(inputs=[torch.full((3, *size), float(v)) for v in values], data_samples=samples)


def visit(hook, *values, model=None, hidden=None):
    data = batch(values, hidden)
    hook.before_train_iter(runner_of(model or Model().train()), 0, data)
    return data['data_samples']


def test_the_formula_by_hand():
    """sigmoid(2 ln 2) = 0.8 and sigmoid(-2 ln 2) = 0.2: P_0 = 0.8, P_1 = 0.7 * 0.8 + 0.3 * 0.2 = 0.62, P_2 = 0.494."""
    hook, value = EPIHook(beta=0.7, threshold=0.5), torch.log(torch.tensor(2.0)).item()
    for x, expected in ((value, 0.8), (-value, 0.62), (-value, 0.494)):
        (sample,) = visit(hook, x)
        torch.testing.assert_close(
            hook.probabilities['item-0'].float() / 65535, torch.full((3, 5), expected), atol=3e-5, rtol=0
        )
        mask = sample.gt_sem_seg.data
        assert (mask.shape, mask.dtype) == ((1, 3, 5), torch.int64)
        assert (mask == (expected > 0.5)).all()
        assert sample.metainfo['labelled'] is False


def test_the_threshold_is_the_heads():
    """sigmoid(-0.2) = 0.45 is foreground at 0.4 (one channel), background at 0.5 (two)."""
    assert (visit(EPIHook(), -0.1)[0].gt_sem_seg.data == 1).all()
    assert (visit(EPIHook(), -0.1, model=Model(2))[0].gt_sem_seg.data == 0).all()


def test_labelled_items_stay_as_they_are():
    hook = EPIHook()
    first, second = visit(hook, -1.0, -1.0, hidden={1})
    assert (first.gt_sem_seg.data == 1).all()
    assert 'labelled' not in first.metainfo
    assert (second.gt_sem_seg.data == 0).all()
    assert list(hook.probabilities) == ['item-1']


def test_begin():
    hook, data = EPIHook(begin=3), batch([1.0])
    hook.before_train_iter(runner_of(Model(), 2), 2, data)
    assert (data['data_samples'][0].gt_sem_seg.data == NO).all()
    assert not hook.probabilities
    hook.before_train_iter(runner_of(Model(), 3), 3, data)
    assert (data['data_samples'][0].gt_sem_seg.data == 1).all()


def test_prediction_is_that_of_evaluation_and_leaves_no_trace():
    """Sizes of a batch may differ, padding is cut off; the samples keep their masks."""
    model, one, two = Model().train(), batch([1.0]), batch([-1.0], size=(6, 2))
    inputs, samples = one['inputs'] + two['inputs'], one['data_samples'] + two['data_samples']
    probs = foreground_probability(model, inputs, samples)
    for prob, size, x in zip(probs, ((3, 5), (6, 2)), (2.0, -2.0), strict=True):
        torch.testing.assert_close(prob, torch.full(size, x).sigmoid())
    assert model.training
    assert [tuple(s.gt_sem_seg.shape) for s in samples] == [(3, 5), (6, 2)]
    assert 'pad_shape' not in samples[0].metainfo


def test_a_run_gone_on_with_has_the_probabilities():
    hook, other = EPIHook(), EPIHook()
    visit(hook, 1.0, -1.0)
    other.resume_from(hook.resume_state())
    assert other.probabilities.keys() == {'item-0', 'item-1'}
    assert torch.equal(other.probabilities['item-1'], hook.probabilities['item-1'])
    assert other.probabilities is not hook.probabilities


def test_a_pixel_near_the_threshold_crosses_it_in_the_end():
    """A hundredth of 0.01 is less than half a step of float16 near 0.5, which would keep 0.495 for ever."""
    hook = EPIHook()
    sample = batch([1.0])['data_samples'][0]
    hook.update(sample, torch.tensor([[0.495]]))
    for _ in range(200):
        last = hook.update(sample, torch.tensor([[0.505]]))
    assert last > 0.502


def test_errors():
    with pytest.raises(ValueError, match='beta is 1'):
        EPIHook(beta=1)
    with pytest.raises(ValueError, match='begin is -1'):
        EPIHook(begin=-1)
    hook = EPIHook()
    visit(hook, 1.0)
    with pytest.raises(ValueError, match=r'item-0 was \(3, 5\) at its last visit and is \(4, 4\)'):
        hook.before_train_iter(runner_of(Model()), 0, batch([1.0], size=(4, 4)))
    nameless = batch([1.0])
    nameless['data_samples'][0].set_metainfo(dict(sample_id=None))
    with pytest.raises(ValueError, match='has no sample_id'):
        hook.before_train_iter(runner_of(Model()), 0, nameless)
    with pytest.raises(ValueError, match='3 channels'):
        foreground_probability(Model(3), [], [])


@pytest.mark.parametrize(
    ('step', 'refused'),
    [
        (dict(type='RandomFlip', prob=0.5), True),
        (dict(type='RandomRotate', prob=0.5, degree=10), True),
        (dict(type='RandomRightAngle'), True),
        (dict(type='RandomResize', scale=(8, 8), ratio_range=(0.5, 2.0)), True),
        (dict(type='RandomApply', transforms=[dict(type='RandomFlip', prob=0.5)]), True),
        (dict(type='Resize', scale=(8, 8)), False),
        (dict(type='PhotoMetricDistortion'), False),
        (dict(type='HideMask'), False),
    ],
    ids=lambda value: value.get('type') if isinstance(value, dict) else None,
)
def test_pipelines_that_move_pixels_are_refused(step, refused):
    with DefaultScope.overwrite_default_scope('mmseg'):
        part = SimpleNamespace(pipeline=SimpleNamespace(transforms=[TRANSFORMS.build(step)]))
    runner = SimpleNamespace(
        train_dataloader=SimpleNamespace(dataset=SimpleNamespace(datasets=[SimpleNamespace(dataset=part)]))
    )
    if refused:
        with pytest.raises(ValueError, match=r'EPIHook averages .*Random'):
            EPIHook().before_train(runner)
    else:
        EPIHook().before_train(runner)


SEMI = """
_base_ = '{root}/configs/phantom/lvit-c12-semi_phantom_96x96.py'
model = dict(
    text_encoder=dict(
        tokenizer=dict(build_from='{data}/train.jsonl'),
        arch=dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32),
    ),
    backbone=dict(base_channels=4, num_heads=2, img_size=32, text_channels=16),
    decode_head=dict(in_channels=[4, 8, 16, 32, 32]),
)
"""


@pytest.mark.slow
def test_a_run_with_hidden_masks(phantom, tmp_path):
    """The semi-supervised config, tiny: it trains, hides half, learns from pseudo labels, and resumes with them."""
    root = Path(__file__).resolve().parents[2]
    path = tmp_path / 'semi.py'
    path.write_text(SEMI.format(root=root.as_posix(), data=phantom.as_posix()))
    steps = 'train_dataloader.dataset.pipeline'
    cfg = load_config(
        str(path),
        {
            f'{steps}.2.share': 0.5,
            f'{steps}.3.scale': (32, 32),
            'train_dataloader.dataset.data_root': phantom.as_posix(),
            'train_dataloader.batch_size': 4,
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
        },
    )
    cfg.update(
        work_dir=str(tmp_path / 'run'), train_cfg=dict(type='IterBasedTrainLoop', max_iters=4), val_cfg=None,
        val_dataloader=None, val_evaluator=None, test_cfg=None, test_dataloader=None, test_evaluator=None,
        param_scheduler=[], custom_hooks=[dict(type='EPIHook', begin=2)], log_level='WARNING',
    )  # fmt: skip
    cfg.default_hooks.checkpoint.pop('save_best')
    cfg.default_hooks.checkpoint.interval = 4
    seen = []

    @HOOKS.register_module(force=True)
    class Watch(EPIHook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            super().before_train_iter(runner, batch_idx, data_batch)
            for sample in data_batch['data_samples']:
                empty = bool((sample.gt_sem_seg.data == NO).all())
                seen.append((runner.iter, empty, sample.metainfo.get('labelled', True)))

    try:
        with DefaultScope.overwrite_default_scope('mmseg'):
            cfg.custom_hooks[0].type = 'Watch'
            runner = TextSegRunner.from_cfg(cfg)
            runner.train()
            cfg.update(resume=True, experiment_name='resumed')
            resumed = TextSegRunner.from_cfg(cfg)
            resumed.train()
    finally:
        HOOKS.module_dict.pop('Watch')
    early, late = [s for s in seen if s[0] < 2], [s for s in seen if s[0] >= 2]
    assert {s[1:] for s in early} == {(True, True), (False, True)}, 'hidden ones count nowhere, the others do'
    assert {s[1:] for s in late} == {(False, True), (False, False)}, 'hidden ones have a pseudo label'
    (hook,) = (h for h in runner.hooks if isinstance(h, EPIHook))
    assert hook.probabilities
    assert all(tuple(p.shape) == (32, 32) for p in hook.probabilities.values())
    assert all(torch.isfinite(p).all() for p in runner.model.state_dict().values() if p.is_floating_point())
    assert len(runner.model.decode_head.loss_lv.bank) > 0
    (again,) = (h for h in resumed.hooks if isinstance(h, EPIHook))
    assert again.probabilities.keys() == hook.probabilities.keys()
    assert all(torch.equal(again.probabilities[name], hook.probabilities[name]) for name in hook.probabilities)
