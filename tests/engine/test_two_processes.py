"""TextSegRunner in two gloo processes: stopped, gone on with, and past a loss that is no number, both as one."""

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from small_training import At, Stop, assert_equal, runner_of, state
from test_kept_states import early_stopping_runner, stop
from torch import nn

from mmseg_textseg.engine.interruption import TrainingStopped
from mmseg_textseg.engine.kept_states import _gradients

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != 'linux', reason='needs the start method forkserver'),
]
# Five batches an epoch of twenty items; one process's batch has two.
SETTINGS = dict(
    length=3,
    interval=1,
    by_epoch=True,
    model=dict(type='RememberingModel'),
    launcher='pytorch',
    cfg=dict(model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None)),
    items=20,
)


def run(rank: int, folder: str, job) -> None:
    os.environ['LOCAL_RANK'] = '0'
    limit = timedelta(seconds=60)  # a process that waits for ever must fail the test
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2, timeout=limit)
    try:
        torch.save(job(rank, Path(folder)), f'{folder}/rank{rank}.pth')
    finally:
        dist.destroy_process_group()


def in_two(folder: Path, job) -> list[dict]:
    """What ``job(rank, folder)`` gives in each of two processes."""
    folder.mkdir(exist_ok=True)
    (folder / 'store').unlink(missing_ok=True)
    # Not forked from here: where a test before has trained, autograd may refuse to in a fork.
    mp.start_processes(run, (str(folder), job), nprocs=2, start_method='forkserver')
    return [torch.load(folder / f'rank{rank}.pth') for rank in (0, 1)]


def trained(runner) -> dict:
    runner.train()
    return dict(state(runner), sums=torch.stack(runner.model.module.memory.sums))


def untouched(rank: int, folder: Path) -> dict:
    return trained(runner_of(folder, **SETTINGS))


def gone_on_with(rank: int, folder: Path) -> dict:
    """Each with what it remembers itself."""
    return trained(runner_of(folder, **SETTINGS, resume=True))


def terminated(rank: int, folder: Path) -> dict:
    """SIGTERM reaches the second process alone."""
    runner = runner_of(folder, **SETTINGS)
    if rank:
        runner.register_hook(At(7, lambda _: os.kill(os.getpid(), signal.SIGTERM)))
    with pytest.raises(TrainingStopped):
        runner.train()
    return dict(iterations=runner.iter + 1)


def broken_off(rank: int, folder: Path) -> dict:
    runner = runner_of(folder, **SETTINGS)
    runner.register_hook(At(8, stop))
    with pytest.raises(Stop):
        runner.train()
    return dict(iterations=runner.iter)


ACCUMULATING = dict(SETTINGS, optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1), accumulative_counts=3))


def accumulating(rank: int, folder: Path) -> dict:
    """A training broken off in iteration 8 is gone on with from 5, of which 3 have updated the weights."""
    whole = trained(runner_of(folder / 'whole', **ACCUMULATING))
    runner = runner_of(folder / 'cut', **ACCUMULATING)
    runner.register_hook(At(8, stop))
    with pytest.raises(Stop):
        runner.train()
    return dict(whole=whole, resumed=trained(runner_of(folder / 'cut', **ACCUMULATING, resume=True)))


class Remembering(Hook):
    """The rank, and the iterations that it saw."""

    def __init__(self, rank):
        self.rank, self.seen, self.found = rank, 0, None

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen += 1

    def resume_state(self):
        return dict(rank=self.rank, seen=self.seen)

    def resume_from(self, state):
        self.found, self.seen = state['rank'], state['seen']


def remembering(rank: int, folder: Path) -> dict:
    runner_of(folder, **SETTINGS, custom_hooks=[Remembering(rank), Remembering(rank + 10)]).train()
    dist.barrier()  # the first one saves
    hooks = [Remembering(rank), Remembering(rank)]
    runner_of(folder, **{**SETTINGS, 'length': 4}, custom_hooks=hooks, resume=True).train()
    return [(hook.found, hook.seen) for hook in hooks]


def other_order(rank: int, folder: Path) -> dict:
    """A weight whose elements lie in another order than their indices, with a gradient in the second process alone."""
    layer = nn.Conv2d(3, 2, 2).to(memory_format=torch.channels_last)
    wrapper = OptimWrapper(torch.optim.SGD(layer.parameters(), lr=1), accumulative_counts=3)
    wrapper._inner_count = 1
    if rank:
        layer.weight.grad = torch.arange(24.0).view(2, 3, 2, 2).to(memory_format=torch.channels_last)
    return _gradients(SimpleNamespace(model=MMDistributedDataParallel(layer), optim_wrapper=wrapper))


def passing_over(rank: int, folder: Path) -> dict:
    """The loss of the second process alone is no number in its third iteration."""
    hooks = dict(non_finite=dict(type='NonFiniteLossHook', action='skip'))
    model = dict(type='RememberingModel', bad_at=(3,) if rank else ())
    return trained(runner_of(folder, **{**SETTINGS, 'model': model}, default_hooks=hooks))


@pytest.fixture(scope='module')
def whole(tmp_path_factory) -> list[dict]:
    """Both states of a training that nothing has happened to."""
    return in_two(tmp_path_factory.mktemp('whole'), untouched)


def test_sigterm_to_one_stops_both_and_resume_goes_on_as_if_not(tmp_path, whole):
    stopped = in_two(tmp_path, terminated)
    assert stopped == [dict(iterations=10)] * 2  # processes ask one another in every tenth
    assert (tmp_path / 'interrupted.pth').is_file()
    assert_equal(dict(enumerate(in_two(tmp_path, gone_on_with))), dict(enumerate(whole)))


def test_a_break_in_the_middle_of_an_epoch_is_gone_on_from_the_checkpoint_before(tmp_path, whole):
    assert in_two(tmp_path, broken_off) == [dict(iterations=7)] * 2
    assert_equal(dict(enumerate(in_two(tmp_path, gone_on_with))), dict(enumerate(whole)))


def test_gradients_of_an_accumulation_are_those_of_both(tmp_path):
    """To rounding: the checkpoint has their mean."""
    for found in in_two(tmp_path, accumulating):
        whole, resumed = found['whole'], found['resumed']
        assert whole['counts'] == resumed['counts']
        for key, value in whole['weights'].items():
            torch.testing.assert_close(resumed['weights'][key], value, rtol=1e-5, atol=1e-7)


def test_gradients_are_meant_element_by_element(tmp_path):
    first, second = in_two(tmp_path, other_order)
    assert second == {}
    assert torch.equal(first['weight'], torch.arange(24.0).view(2, 3, 2, 2) / 2)


def test_each_hook_remembers_its_own(tmp_path):
    assert in_two(tmp_path, remembering) == [[(0, 20), (10, 20)], [(1, 20), (11, 20)]]


def test_both_pass_over_a_loss_of_one_that_is_no_number(tmp_path, whole):
    found = in_two(tmp_path, passing_over)
    weights = [result['weights'] for result in found]
    for key, value in weights[0].items():
        assert torch.isfinite(value).all()
        if 'running' not in key and 'tracked' not in key:
            assert torch.equal(value, weights[1][key])
    assert not torch.equal(weights[0]['module.layers.0.weight'], whole[0]['weights']['module.layers.0.weight'])
    assert {path.name for path in (tmp_path / 'non_finite').iterdir()} == {
        'iter_3_rank_0.pth',
        'iter_3_rank_1.pth',
    }


def early_stopped(rank: int, folder: Path) -> dict:
    more = dict(model_wrapper_cfg=SETTINGS['cfg']['model_wrapper_cfg'])
    runner = early_stopping_runner(folder, resume=True, launcher='pytorch', cfg=more, items=20)
    runner.train()
    return dict(iterations=runner.iter)


def test_more_processes_go_on_with_one_count(tmp_path):
    """If one counted by itself it would end before the other, which would wait for it."""
    runner = early_stopping_runner(tmp_path, items=20)
    runner.register_hook(At(38, stop))
    with pytest.raises(Stop):
        runner.train()
    first, second = in_two(tmp_path, early_stopped)
    assert first == second
