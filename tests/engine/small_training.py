"""A training of a few dozen weights: noise in the data, dropout in the model, momentum in the optimizer."""

import multiprocessing
import random

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmseg.registry import DATASETS, METRICS, MODELS
from torch import nn
from torch.utils.data import Dataset

from mmseg_textseg.engine import TextSegRunner

# Of the tests' processes that are not forked from here: each would import it anew.
multiprocessing.set_forkserver_preload(['mmseg_textseg.engine'])


@DATASETS.register_module(force=True)
class NoisyNumbers(Dataset):
    """Item i is i and a draw of each generator."""

    metainfo = dict(classes=('a',))

    def __init__(self, length=10):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        assert type(index) is int
        draws = [random.random(), np.random.rand(), float(torch.rand(()))]  # noqa: NPY002
        return dict(inputs=torch.tensor([index, *draws], dtype=torch.float32), data_samples=index)


@MODELS.register_module(force=True)
class SmallModel(BaseModel):
    def __init__(self, bad_at=()):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.BatchNorm1d(8), nn.Linear(8, 1))
        self.bad_at, self.seen = bad_at, []

    def forward(self, inputs, data_samples=None, mode='tensor'):
        inputs = torch.stack(inputs) if isinstance(inputs, list) else inputs
        self.seen.append(inputs.clone())
        scale = float('nan') if len(self.seen) in self.bad_at else 1
        if mode == 'predict':
            return list(data_samples)
        return dict(loss=self.layers(inputs * scale).square().mean())


class Memory(nn.Module):
    """The sums of the last three batches."""

    def __init__(self):
        super().__init__()
        self.sums = []

    def resume_state(self):
        return list(self.sums)

    def resume_from(self, state):
        self.sums = state


@MODELS.register_module(force=True)
class RememberingModel(SmallModel):
    def __init__(self, bad_at=()):
        super().__init__(bad_at)
        self.memory = Memory()

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            batch = torch.stack(inputs) if isinstance(inputs, list) else inputs
            self.memory.sums = [*self.memory.sums, batch.sum()][-3:]
        return super().forward(inputs, data_samples, mode)


class Stop(Exception):
    """What ends a training that nobody prepared for it."""


class At(Hook):
    """Does ``act(runner)`` after iteration ``number``, before any checkpoint of it."""

    priority = 'VERY_HIGH'

    def __init__(self, number, act):
        self.number, self.act = number, act

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.number:
            self.act(runner)


@METRICS.register_module(force=True)
class Count(BaseMetric):
    """Items seen."""

    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        return dict(count=len(results))


VALIDATION = dict(
    val_cfg=dict(),
    val_evaluator=dict(type='Count'),
    val_dataloader=dict(
        batch_size=5, dataset=dict(type='NoisyNumbers'), sampler=dict(type='DefaultSampler', shuffle=False)
    ),
)


class InValidation(Hook):
    """Notes the iterations with a validation in ``done``, and stops in that of number ``fatal`` from 1."""

    def __init__(self, done, fatal):
        self.done, self.fatal, self.number = done, fatal, 0

    def before_val_epoch(self, runner):
        self.done.append(runner.iter)
        self.number += 1
        if self.number == self.fatal:
            raise Stop


def runner_of(
    work_dir, by_epoch=False, length=8, interval=4, resume=False, workers=0, sampler=None, batch=2, items=10, **more
):
    """A TextSegRunner of ``length`` iterations, or epochs."""
    train = dict(by_epoch=True, max_epochs=length) if by_epoch else dict(by_epoch=False, max_iters=length)
    cfg = dict(
        model=dict(type='SmallModel'),
        work_dir=str(work_dir),
        train_cfg=train,
        train_dataloader=dict(
            batch_size=batch,
            num_workers=workers,
            dataset=dict(type='NoisyNumbers', length=items),
            sampler=sampler or dict(type='DefaultSampler' if by_epoch else 'InfiniteSampler', shuffle=True),
        ),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
        param_scheduler=[dict(type='PolyLR', begin=0, end=40, by_epoch=False)],
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=by_epoch, interval=interval, max_keep_ckpts=1)
        ),
        randomness=dict(seed=3),
        log_level='WARNING',
        default_scope='mmseg',
        experiment_name=f'small-{random.SystemRandom().random()}',
        resume=resume,
    )
    return TextSegRunner(**(cfg | more))


def state(runner) -> dict:
    """Everything that a training has become."""
    return dict(
        weights=runner.model.state_dict(),
        momenta=runner.optim_wrapper.state_dict()['state'],
        rates=runner.optim_wrapper.get_lr(),
        counts=(runner.iter, runner.epoch),
    )


def assert_equal(one, other):
    """Bit for bit."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other
