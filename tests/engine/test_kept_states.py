"""What a training remembers outside of weights and optimizer is there when it is gone on with."""

import pytest
import torch
from mmengine.hooks import EarlyStoppingHook
from mmseg.registry import METRICS, MODELS
from small_training import VALIDATION, At, Count, SmallModel, Stop, runner_of
from torch import nn

from mmseg_textseg.models.lvit import LVLoss

SCORES = [1, 2, 2, 2, 2, 2, 2, 2]  # the third in a row without a better one is that of epoch 5


@METRICS.register_module(force=True)
class Scores(Count):
    """One of SCORES a validation, by the epoch: a validation that is made up for finds its own."""

    epochs = 0

    def compute_metrics(self, results):
        return dict(score=SCORES[Scores.epochs - 1])


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
    def __init__(self):
        super().__init__()
        self.memory = Memory()

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            batch = torch.stack(inputs) if isinstance(inputs, list) else inputs
            self.memory.sums = [*self.memory.sums, batch.sum()][-3:]
        return super().forward(inputs, data_samples, mode)


def early_stopping_runner(folder, best, resume=False):
    """Epochs of five iterations; early stopping after three validations without a better one."""
    hook = dict(type='EarlyStoppingHook', monitor='score', rule='greater', patience=3)
    checkpoint = dict(type='CheckpointHook', by_epoch=True, interval=1, save_best='score' if best else None)
    runner = runner_of(
        folder,
        by_epoch=True,
        resume=resume,
        custom_hooks=[hook],
        train_cfg=dict(by_epoch=True, max_epochs=8, val_interval=1),
        default_hooks=dict(checkpoint=dict(checkpoint, rule='greater' if best else None)),
        **{**VALIDATION, 'val_evaluator': dict(type='Scores')},
    )

    class Epochs(At):
        def before_val(self, runner):
            Scores.epochs = runner.epoch

    runner.register_hook(Epochs(0, None))
    return runner


@pytest.mark.parametrize('at', [7, 13, 22])  # in epochs 2, 3 and 5
@pytest.mark.parametrize('best', [False, True])
def test_early_stopping_counts_on(tmp_path, at, best):
    def stop(_):
        raise Stop

    whole = early_stopping_runner(tmp_path / 'whole', best)
    whole.train()
    assert whole.epoch == 5
    runner = early_stopping_runner(tmp_path / 'cut', best)
    runner.register_hook(At(at, stop))
    with pytest.raises(Stop):
        runner.train()
    runner = early_stopping_runner(tmp_path / 'cut', best, resume=True)
    runner.train()
    assert runner.epoch == 5
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook))
    assert (hook.wait_count, hook.best_score) == (3, 2)


def test_a_module_remembers(tmp_path):
    model = dict(type='RememberingModel')
    whole = runner_of(tmp_path / 'whole', model=model)
    whole.train()
    runner_of(tmp_path / 'cut', model=model, length=4).train()
    resumed = runner_of(tmp_path / 'cut', model=model, resume=True)
    before = []
    resumed.register_hook(At(5, lambda runner: before.extend(runner.model.memory.sums)))
    resumed.train()
    assert len(before) == 3
    assert resumed.model.memory.sums == whole.model.memory.sums


def test_weights_to_start_from_bring_no_memory(tmp_path):
    model = dict(type='RememberingModel')
    runner_of(tmp_path / 'first', model=model, length=4).train()
    fresh = runner_of(tmp_path / 'fresh', model=model, length=1, load_from=str(tmp_path / 'first' / 'iter_4.pth'))
    fresh.train()
    assert len(fresh.model.memory.sums) == 1


def test_the_bank_of_the_lv_loss(tmp_path):
    def step(loss):
        logits, text = torch.randn(2, 1, 4, 4, generator=draw), torch.randn(2, 3, generator=draw)
        target = torch.randint(2, (2, 4, 4), generator=draw)
        return loss(logits, target, text, torch.tensor([True, False]))

    draw = torch.Generator().manual_seed(0)
    one, other = LVLoss(bank_size=2), LVLoss(bank_size=2)
    for _ in range(3):
        step(one)
    torch.save(one.resume_state(), tmp_path / 'bank.pth')
    other.resume_from(torch.load(tmp_path / 'bank.pth', weights_only=True))
    draw.manual_seed(5)
    expected = step(one)
    draw.manual_seed(5)
    assert expected > 0
    assert step(other) == expected
    assert len(other.bank) == 2
