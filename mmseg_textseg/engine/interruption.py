"""SIGTERM during a training: the iteration is finished, a checkpoint saved, and the process ends."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce, barrier, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..fileio import whole_file
from .checkpoints import LAST

NAME = 'interrupted.pth'
# What a shell reports of a process that SIGTERM ended, by which schedulers know it.
EXIT_CODE = 128 + signal.SIGTERM


class TrainingStopped(SystemExit):
    """SIGTERM came, and a checkpoint is saved."""

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)


class InterruptionHook(Hook):
    """Saves ``interrupted.pth`` after the iteration in which SIGTERM came, and ends the training.

    Schedulers (Slurm's time limit, a spot machine, ``docker stop``) send it some seconds before they kill. Where
    gradients are accumulated it waits for the weights' next update, since a checkpoint has no gradients in it.
    """

    priority = 'LOWEST'  # after the CheckpointHook

    def __init__(self) -> None:
        self.came = False
        self.between_iterations = True

    @contextmanager
    def listening(self) -> Iterator[None]:
        """SIGTERM is noted, not obeyed, within. Only the main thread can listen; in another nothing is changed."""
        owner = os.getpid()

        def note(number: int, frame) -> None:
            if os.getpid() != owner:  # a worker, forked with this handler in it
                os._exit(EXIT_CODE)
            self.came = True
            # Where the signal went to the whole group the workers are dead as well, of which torch would raise an
            # error in the middle of an iteration that still has all its data.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)

        try:
            former = signal.signal(signal.SIGTERM, note)
        except ValueError:
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, former)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        """From here on weights may be half updated."""
        self.between_iterations = False

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Stop where SIGTERM came to any process."""
        self.between_iterations = True
        if not self._any_came() or runner.iter + 1 >= runner.max_iters:
            return
        due = getattr(runner.optim_wrapper, 'should_update', None)
        if due is None or due():
            self.stop(runner, runner.iter + 1)

    def stop(self, runner: Runner, iterations: int) -> None:
        """Save after so many iterations.

        Raises:
            TrainingStopped: always.
        """
        meta = dict(epoch=runner.epoch, iter=iterations)
        runner.save_checkpoint(runner.work_dir, NAME, meta=meta, by_epoch=False)
        path = Path(runner.work_dir) / NAME
        if is_main_process():
            with whole_file(path.with_name(LAST)) as file:
                file.write(str(path))
        barrier()
        runner.logger.warning(f'SIGTERM: saved {path} after {iterations} iterations; --resume goes on from there')
        raise TrainingStopped

    def _any_came(self) -> bool:
        if get_world_size() == 1:
            return self.came
        came = torch.tensor(int(self.came), device=get_device())
        all_reduce(came, 'max')
        return bool(came.item())
