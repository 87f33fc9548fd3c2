"""TextSegRunner: what is gone on with equals what was never stopped, bit for bit, and a checkpoint is always there."""

import errno
import multiprocessing
import os
import random
import signal
import subprocess
import time
from contextlib import suppress

import numpy as np
import pytest
import torch
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, Runner
from small_training import VALIDATION, At, InValidation, Stop, assert_equal, runner_of, state

from mmseg_textseg.engine import (
    ResumableEpochLoop,
    WholeCheckpointHook,
    find_whole_checkpoint,
)
from mmseg_textseg.engine.interruption import EXIT_CODE, TrainingStopped


def stop(runner):
    raise Stop


def sigterm(runner):
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def whole(tmp_path):
    """Function: a training that nothing stops."""

    def run(**settings):
        runner = runner_of(tmp_path / 'whole', **settings)
        runner.train()
        return runner

    return run


def disturb():
    """What another process would have drawn."""
    random.random(), np.random.rand(7), torch.rand(3)  # noqa: NPY002


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize(
    'settings',
    [
        dict(length=8),
        dict(length=8, sampler=dict(type='DefaultSampler', shuffle=True)),
        dict(length=2, by_epoch=True, interval=1),
    ],
    ids=['endless sampler', 'passes', 'epochs'],
)
def test_a_training_gone_on_with_equals_one_never_stopped(whole, tmp_path, settings, workers):
    expected = state(whole(**settings))
    with pytest.raises(Stop):
        runner_of(tmp_path / 'run', **settings, workers=workers, custom_hooks=[At(7, stop)]).train()
    disturb()
    runner = runner_of(tmp_path / 'run', **settings, resume=True)
    runner.train()
    assert_equal(state(runner), expected)


@pytest.mark.parametrize('at', [1, 3, 5, 7])
@pytest.mark.parametrize('settings', [dict(length=8), dict(length=2, by_epoch=True)], ids=['iterations', 'epochs'])
def test_sigterm_saves_after_the_iteration(whole, tmp_path, settings, at):
    expected = state(whole(**settings))
    former = signal.getsignal(signal.SIGTERM)
    with pytest.raises(TrainingStopped) as stopped:
        runner_of(tmp_path / 'run', **settings, custom_hooks=[At(at, sigterm)]).train()
    assert stopped.value.code == EXIT_CODE == 143
    assert signal.getsignal(signal.SIGTERM) is former
    saved = torch.load(tmp_path / 'run' / 'interrupted.pth', weights_only=False)
    assert saved['meta']['iter'] == at
    assert find_whole_checkpoint(tmp_path / 'run') == str(tmp_path / 'run' / 'interrupted.pth')
    disturb()
    runner = runner_of(tmp_path / 'run', **settings, resume=True)
    seen = []
    runner.model.register_forward_pre_hook(lambda *args: seen.append(1))
    runner.train()
    assert len(seen) == runner.max_iters - at
    assert_equal(state(runner), expected)


def test_another_length_of_epochs_is_no_place_in_one(tmp_path):
    """Ten items in batches of two and of five: an epoch of 5 iterations, then of 2."""
    with pytest.raises(TrainingStopped):
        runner_of(tmp_path, length=2, by_epoch=True, custom_hooks=[At(3, sigterm)]).train()
    runner = runner_of(tmp_path, length=2, by_epoch=True, batch=5, resume=True)
    runner.train()
    assert [len(seen) for seen in runner.model.seen] == [5, 5, 5, 5]
    with pytest.raises(TrainingStopped):
        runner_of(tmp_path / 'b', length=3, by_epoch=True, interval=1, custom_hooks=[At(6, sigterm)]).train()
    (tmp_path / 'b' / 'interrupted.pth').unlink()
    runner = runner_of(tmp_path / 'b', length=3, by_epoch=True, batch=5, resume=True)
    runner.train()
    assert len(runner.model.seen) == 4, 'two epochs were left'


def sigterm_from_another(processes):
    """As a scheduler sends it."""
    subprocess.run(['kill', '-TERM', *(str(process.pid) for process in processes)], check=True)


@pytest.fixture
def workers_of(tmp_path):
    """Function: an iterator over batches, and its two workers, which have all begun; they are ended afterwards."""
    workers = []

    def start(**settings):
        runner = runner_of(tmp_path, workers=2)
        before = multiprocessing.active_children()
        batches = iter(runner.build_dataloader(runner._train_dataloader | settings))
        for _ in range(2):  # one of each worker
            next(batches)
        workers.extend(child for child in multiprocessing.active_children() if child not in before)
        assert len(workers) == 2
        return batches, workers

    yield start
    for worker in workers:
        worker.kill()


@pytest.mark.skipif(not hasattr(signal, 'sigwaitinfo'), reason='the system does not tell who sent a signal')
def test_workers_obey_nobody_but_their_process(workers_of):
    batches, workers = workers_of(multiprocessing_context='fork')
    sigterm_from_another(workers)
    for _ in range(10):
        next(batches)
    assert all(worker.is_alive() for worker in workers)


@pytest.mark.parametrize('start', ['fork', pytest.param('forkserver', marks=pytest.mark.slow)])
def test_workers_obey_their_process(workers_of, start):
    _, (worker, other) = workers_of(multiprocessing_context=start)
    worker.terminate()
    with suppress(RuntimeError):  # torch's, of a worker that ended
        worker.join(20)
    assert not worker.is_alive()
    assert other.is_alive()


@pytest.mark.parametrize('by_epoch', [False, True])
@pytest.mark.parametrize('told', [True, False], ids=['sender known', 'sender unknown'])
def test_sigterm_to_the_whole_group(whole, tmp_path, by_epoch, told, monkeypatch):
    """Where the system does not tell who sent it the workers end too."""
    if not told:
        monkeypatch.delattr(signal, 'sigwaitinfo', raising=False)
    settings = dict(length=4, by_epoch=by_epoch)
    expected = state(whole(**settings))

    before = multiprocessing.active_children()
    workers = []

    def group(runner):
        if not told:
            time.sleep(1)  # until they are idle: one that ends with a lock keeps this process from ending
        workers.extend(child for child in multiprocessing.active_children() if child not in before)
        sigterm_from_another(workers)
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(TrainingStopped):
        runner_of(tmp_path / 'run', **settings, workers=2, custom_hooks=[At(2, group)]).train()
    assert len(workers) == 2
    for worker in workers:
        worker.terminate()  # as at a process's end
        worker.join(20)
        assert worker.exitcode == (0 if told else -signal.SIGTERM)
    runner = runner_of(tmp_path / 'run', **settings, resume=True)
    runner.train()
    assert_equal(state(runner), expected)


def test_sigterm_in_the_last_iteration_changes_nothing(whole, tmp_path):
    expected = state(whole(length=4))
    runner = runner_of(tmp_path / 'run', length=4, custom_hooks=[At(4, sigterm)])
    runner.train()
    assert_equal(state(runner), expected)
    assert not (tmp_path / 'run' / 'interrupted.pth').exists()


def test_sigterm_waits_for_the_accumulated_gradients(tmp_path):
    wrapper = dict(optimizer=dict(type='SGD', lr=0.01), accumulative_counts=4)
    with pytest.raises(TrainingStopped):
        runner_of(tmp_path / 'run', optim_wrapper=wrapper, length=12, custom_hooks=[At(5, sigterm)]).train()
    assert torch.load(tmp_path / 'run' / 'interrupted.pth', weights_only=False)['meta']['iter'] == 8


def test_the_data_do_not_depend_on_the_workers(whole, tmp_path):
    """Nor does another seed give the same."""
    seen = [torch.cat(whole(workers=workers, length=6).model.seen) for workers in (0, 1, 3)]
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], torch.cat(whole(length=6, randomness=dict(seed=4)).model.seen))
    noise = seen[0][:, 1:]
    assert noise.unique().numel() == noise.numel(), 'each draw has noise of its own'


@pytest.mark.parametrize('more', [
    dict(custom_hooks=[dict(type='EMAHook')]),
    dict(
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01), clip_grad=dict(max_norm=0.1), accumulative_counts=2)
    ),
], ids=['EMA', 'accumulation'])  # fmt: skip
def test_hooks_and_wrappers_go_on_too(whole, tmp_path, more):
    expected = state(whole(**more))
    hooks = more.get('custom_hooks', [])
    with pytest.raises(Stop):
        runner_of(tmp_path / 'run', **more | dict(custom_hooks=[*hooks, At(6, stop)])).train()
    runner = runner_of(tmp_path / 'run', **more, resume=True)
    runner.train()
    assert_equal(state(runner), expected)


@pytest.mark.parametrize('by_epoch', [False, True])
def test_a_validation_that_was_due_is_made_up_for(tmp_path, by_epoch):
    """The checkpoint is saved before it; killed in it, at the very end too."""
    length, interval = (2, 1) if by_epoch else (8, 4)
    train = dict(by_epoch=by_epoch, val_interval=interval, **{'max_epochs' if by_epoch else 'max_iters': length})
    settings = dict(length=length, by_epoch=by_epoch, interval=interval, train_cfg=train, **VALIDATION)
    saved = dict(
        checkpoint=dict(type='CheckpointHook', by_epoch=by_epoch, interval=interval, save_best='count', rule='greater')
    )
    done = []
    for fatal in (1, 2, 0):  # killed in the first validation, in the second of the next run, never
        hook = InValidation(done, fatal)
        runner = runner_of(tmp_path, **settings, default_hooks=saved, custom_hooks=[hook], resume=True)
        if fatal:
            with pytest.raises(Stop):
                runner.train()
        else:
            runner.train()
    ends = (5, 10) if by_epoch else (4, 8)
    assert done == [ends[0], ends[0], ends[1], ends[1]]
    assert len(list(tmp_path.glob('best_count_*.pth'))) == 1


@pytest.mark.parametrize('by_epoch', [False, True])
def test_going_on_after_a_validation_that_saved_the_best(whole, tmp_path, by_epoch):
    """The last checkpoint is saved anew then, when the next epoch has not begun."""
    length, interval = (3, 1) if by_epoch else (12, 4)
    train = dict(by_epoch=by_epoch, val_interval=interval, **{'max_epochs' if by_epoch else 'max_iters': length})
    best = dict(by_epoch=by_epoch, interval=interval, save_best='count', rule='greater')
    hooks = dict(checkpoint=dict(type='CheckpointHook', **best))
    settings = dict(by_epoch=by_epoch, train_cfg=train, default_hooks=hooks, **VALIDATION)
    expected = state(whole(**settings))
    with pytest.raises(Stop):
        runner_of(tmp_path / 'run', **settings, custom_hooks=[At(6, stop)]).train()
    validated = InValidation([], 0)
    runner = runner_of(tmp_path / 'run', **settings, custom_hooks=[validated], resume=True)
    runner.train()
    assert_equal(state(runner), expected)
    assert len(runner.model.seen) - 2 * validated.number == runner.max_iters - (5 if by_epoch else 4)
    assert validated.done == ([10, 15] if by_epoch else [8, 12]), 'the first is not repeated'


@pytest.mark.parametrize('kind', ['CheckpointHook', 'mmengine.CheckpointHook', CheckpointHook])
def test_hooks_and_loops_by_any_name(tmp_path, kind):
    loop = {str: 'mmengine.EpochBasedTrainLoop', type: EpochBasedTrainLoop}[type(kind)]
    runner = runner_of(
        tmp_path, by_epoch=True, train_cfg=dict(type=loop, max_epochs=1),
        default_hooks=dict(checkpoint=dict(type=kind, interval=1)),
    )  # fmt: skip
    runner.train()
    assert isinstance(runner.train_loop, ResumableEpochLoop)
    assert any(isinstance(hook, WholeCheckpointHook) for hook in runner.hooks)


def test_a_seed_that_nobody_gave_is_the_checkpoints(tmp_path):
    """mmengine draws one then; the sampler of the second half must have it as well."""
    with pytest.raises(Stop):
        runner_of(tmp_path, randomness=dict(seed=None), custom_hooks=[At(6, stop)]).train()
    meta = torch.load(tmp_path / 'iter_4.pth', weights_only=False)['meta']
    runner = runner_of(tmp_path, randomness=dict(seed=None), resume=True)
    runner.train()
    assert runner.seed == meta['seed']
    assert runner.train_dataloader.sampler.key_seed == meta['seed']


def test_nothing_to_go_on_with_is_a_new_start(whole, tmp_path):
    runner = runner_of(tmp_path / 'run', resume=True)
    runner.train()
    assert_equal(state(runner), state(whole()))


def test_the_former_checkpoint_goes_after_the_new_one_is_there(tmp_path, monkeypatch):
    saving, there = Runner.save_checkpoint, []

    def save(self, out_dir, filename, *args, **kwargs):
        there.append(sorted(path.name for path in tmp_path.glob('*.pth')))
        saving(self, out_dir, filename, *args, **kwargs)

    monkeypatch.setattr(Runner, 'save_checkpoint', save)
    runner_of(tmp_path, interval=2).train()
    assert there == [[], ['iter_2.pth'], ['iter_4.pth'], ['iter_6.pth']]
    assert [path.name for path in tmp_path.glob('*.pth*')] == ['iter_8.pth']


def test_a_full_disk_keeps_the_last_one(tmp_path, monkeypatch):
    saving = Runner.save_checkpoint

    def save(self, out_dir, filename, *args, **kwargs):
        saving(self, out_dir, filename, *args, **kwargs)
        if self.iter + 1 == 4:
            path = tmp_path / filename
            path.write_bytes(path.read_bytes()[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Runner, 'save_checkpoint', save)
    with pytest.raises(OSError, match=r'No space left.*those saved before are whole.*iter_4.pth') as error:
        runner_of(tmp_path, interval=2).train()
    assert error.value.errno == errno.ENOSPC
    assert [path.name for path in tmp_path.glob('*.pth*')] == ['iter_2.pth']
    assert find_whole_checkpoint(tmp_path) == str(tmp_path / 'iter_2.pth')


@pytest.fixture
def checkpoints(tmp_path):
    """Two checkpoints, iter_2.pth the older, last_checkpoint naming iter_4.pth."""
    runner = runner_of(tmp_path, interval=2, length=4)
    runner._hooks[[type(hook).__name__ for hook in runner.hooks].index('WholeCheckpointHook')].max_keep_ckpts = -1
    runner.train()
    return tmp_path


def test_a_broken_last_checkpoint_falls_back_to_the_one_before(checkpoints, tmp_path):
    last = checkpoints / 'iter_4.pth'
    data = last.read_bytes()
    for broken in (data[:-200], b'', data[:3000] + bytes([data[3000] ^ 1]) + data[3001:]):
        last.write_bytes(broken)
        assert find_whole_checkpoint(checkpoints) == str(checkpoints / 'iter_2.pth')
    last.write_bytes(data)
    for text in ('', 'gone.pth', str(last), '/elsewhere/before/moving/iter_4.pth'):
        (checkpoints / 'last_checkpoint').write_text(text)
        assert find_whole_checkpoint(checkpoints) == str(last)
    (checkpoints / 'last_checkpoint').unlink()
    assert find_whole_checkpoint(checkpoints) == str(last)
    (checkpoints / 'last_checkpoint').write_text('s3://bucket/iter_9.pth')
    assert find_whole_checkpoint(checkpoints) == 's3://bucket/iter_9.pth'


def test_no_whole_checkpoint_at_all_is_told(checkpoints):
    for path in checkpoints.glob('*.pth'):
        path.write_bytes(b'PK')
    with pytest.raises(OSError, match=r'none of its checkpoints is whole \(iter_2.pth, iter_4.pth\)'):
        find_whole_checkpoint(checkpoints)
