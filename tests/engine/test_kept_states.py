"""What a training remembers outside of weights and optimizer is there when it is gone on with."""

from copy import deepcopy

import pytest
import torch
from mmengine.hooks import EarlyStoppingHook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmseg.registry import METRICS
from small_training import VALIDATION, At, Count, SmallModel, Stop, assert_equal, runner_of, state

from mmseg_textseg.engine.kept_states import KEY
from mmseg_textseg.engine.non_finite import NonFiniteLossHook
from mmseg_textseg.models.lvit import LVLoss

SCORES = [1, 2, 2, 2, 2, 2, 2, 2]  # the third in a row without a better one is that of epoch 5


@METRICS.register_module(force=True)
class Scores(Count):
    """One of SCORES a validation, by the epoch: a validation that is made up for finds its own."""

    epochs = 0

    def compute_metrics(self, results):
        return dict(score=SCORES[Scores.epochs - 1])


EARLY = dict(type='EarlyStoppingHook', monitor='score', rule='greater', patience=3, min_delta=0.1)


def early_stopping_runner(folder, best=True, by_epoch=True, resume=False, hooks=(EARLY,), default=False, **other):
    """A validation every five iterations; early stopping after three without a better one."""
    length = dict(max_epochs=8, val_interval=1) if by_epoch else dict(max_iters=40, val_interval=5)
    checkpoint = dict(type='CheckpointHook', by_epoch=by_epoch, interval=1 if by_epoch else 5)
    checkpoint.update(save_best='score' if best else None, rule='greater' if best else None)
    more = {f'early{i}': hook for i, hook in enumerate(hooks)} if default else {}
    runner = runner_of(
        folder,
        by_epoch=by_epoch,
        resume=resume,
        custom_hooks=None if default else list(hooks),
        train_cfg=dict(by_epoch=by_epoch, **length),
        default_hooks=dict(checkpoint=checkpoint, **more),
        **{**VALIDATION, 'val_evaluator': dict(type='Scores')},
        **other,
    )

    class Epochs(At):
        def before_val(self, runner):
            Scores.epochs = runner.epoch if by_epoch else runner.iter // 5

    runner.register_hook(Epochs(0, None))
    return runner


def stop(_):
    raise Stop


@pytest.mark.parametrize('at', [7, 13, 22])  # before the second, third and fifth validation
@pytest.mark.parametrize('best', [False, True])
@pytest.mark.parametrize(('by_epoch', 'default'), [(True, False), (True, True), (False, False)])
def test_early_stopping_counts_on(tmp_path, at, best, by_epoch, default):
    options = dict(best=best, by_epoch=by_epoch, default=default)
    whole = early_stopping_runner(tmp_path / 'whole', **options)
    whole.train()
    assert whole.iter == 25
    runner = early_stopping_runner(tmp_path / 'cut', **options)
    runner.register_hook(At(at, stop))
    with pytest.raises(Stop):
        runner.train()
    runner = early_stopping_runner(tmp_path / 'cut', **options, resume=True)
    runner.train()
    assert runner.iter == 25
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook))
    assert (hook.wait_count, hook.best_score) == (3, 2)


def test_early_stopping_takes_its_own_count(tmp_path):
    """Not that of a hook with another aim, wherever it stands; and one that is at its end trains no more."""
    runner = early_stopping_runner(tmp_path)
    runner.register_hook(At(13, stop))
    with pytest.raises(Stop):
        runner.train()
    other = {**EARLY, 'monitor': 'loss', 'rule': 'less', 'strict': False}
    runner = early_stopping_runner(tmp_path, resume=True, hooks=(other, {**EARLY, 'stopping_threshold': 1.5}))
    runner.train()
    found = [hook.best_score for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]
    assert found == [float('inf'), 2]
    assert runner.iter == 10


def test_the_best_checkpoint_has_no_memory(tmp_path):
    runner = early_stopping_runner(tmp_path)
    runner.train()
    best, last = (torch.load(next(tmp_path.glob(name)), weights_only=False) for name in ('best*', 'epoch_5.pth'))
    assert KEY in last
    assert KEY not in best


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


ACCUMULATING = dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9), accumulative_counts=3))


@pytest.mark.parametrize('by_epoch', [False, True])
def test_the_gradients_of_an_accumulation_are_not_lost(tmp_path, by_epoch):
    """Saved after 4 and 5 iterations, of which 3 have updated the weights."""
    settings = dict(ACCUMULATING, by_epoch=by_epoch, interval=1 if by_epoch else 4, length=3 if by_epoch else 10)
    whole = runner_of(tmp_path / 'whole', **settings)
    whole.train()
    broken = runner_of(tmp_path / 'cut', **settings, custom_hooks=[At(6, stop)])
    with pytest.raises(Stop):
        broken.train()
    (saved,) = (tmp_path / 'cut').glob('*_*.pth')
    kept = torch.load(saved, weights_only=False)[KEY]
    assert kept['accumulation'] == dict(iterations=3, scaled=False)
    assert kept['gradients'].keys() == dict(whole.model.named_parameters()).keys()
    resumed = runner_of(tmp_path / 'cut', **settings, resume=True)
    resumed.train()
    assert_equal(state(resumed), state(whole))


def broken_off(folder, **settings):
    """In the middle of its second accumulation, of iterations 4 to 6, with a checkpoint of iteration 4."""
    with pytest.raises(Stop):
        runner_of(folder, **ACCUMULATING, interval=4, custom_hooks=[At(5, stop)], **settings).train()


def gradients_at_the_start(folder, **settings):
    """Of a training that is gone on with."""
    found = []
    watch = At(0, None)
    watch.before_train = lambda runner: found.extend(p.grad for p in runner.model.parameters())
    runner_of(folder, resume=True, custom_hooks=[watch], **{**ACCUMULATING, **settings}).train()
    assert found
    return [gradient is not None for gradient in found]


def test_gradients_of_another_accumulation_are_left_out(tmp_path):
    broken_off(tmp_path)
    assert all(gradients_at_the_start(tmp_path, length=5))
    broken_off(tmp_path / 'b')
    wrapper = dict(ACCUMULATING['optim_wrapper'], accumulative_counts=2)
    assert not any(gradients_at_the_start(tmp_path / 'b', optim_wrapper=wrapper))


def test_gradients_of_another_scale_are_left_out(tmp_path):
    """Half precision multiplies them by thousands."""
    broken_off(tmp_path)
    saved = tmp_path / 'iter_4.pth'
    checkpoint = torch.load(saved, weights_only=False)
    checkpoint[KEY]['accumulation']['scaled'] = True
    torch.save(checkpoint, saved)
    assert not any(gradients_at_the_start(tmp_path))


def test_gradients_that_are_not_finite_are_not_saved(tmp_path):
    """The training that goes on would stop at them again, and name batches that have done nothing."""
    broken_off(tmp_path, model=dict(type='SmallModel', bad_at=(4,)))
    assert 'gradients' not in torch.load(tmp_path / 'iter_4.pth', weights_only=False)[KEY]
    runner_of(tmp_path, **ACCUMULATING, resume=True).train()


class TwoOptimizers(SmallModel):
    def train_step(self, data, optim_wrapper):
        losses = self(**self.data_preprocessor(data, True), mode='loss')
        for one in optim_wrapper.values():
            one.zero_grad()
        losses['loss'].backward()
        for one in optim_wrapper.values():
            one.step()
        return losses


def test_several_optimizers_go_on_too(tmp_path):
    """They are the model's affair: no accumulation, no batches kept to look at."""

    def runner(folder, **settings):
        model = TwoOptimizers()
        wrappers = {
            name: OptimWrapper(torch.optim.SGD(model.layers[layer].parameters(), lr=0.01, momentum=0.9))
            for name, layer in (('first', 0), ('last', 3))
        }
        return runner_of(folder, model=model, optim_wrapper=OptimWrapperDict(**wrappers), **settings)

    torch.manual_seed(0)
    whole = runner(tmp_path / 'whole')
    start = deepcopy(whole.model.state_dict())
    whole.train()
    broken = runner(tmp_path / 'cut', custom_hooks=[At(6, stop)])
    broken.model.load_state_dict(start)
    with pytest.raises(Stop):
        broken.train()
    (hook,) = (hook for hook in broken.hooks if isinstance(hook, NonFiniteLossHook))
    assert hook.batches == []
    resumed = runner(tmp_path / 'cut', resume=True)
    resumed.train()
    assert_equal(resumed.model.state_dict(), whole.model.state_dict())


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
