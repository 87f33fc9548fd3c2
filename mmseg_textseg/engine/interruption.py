"""SIGTERM during a training: the iteration is finished, a checkpoint saved, and the process ends."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce, barrier, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..fileio import whole_file
from .checkpoints import LAST
from .kept_states import all_gradients_used

NAME = 'interrupted.pth'
# What a shell reports of a process that SIGTERM ended, by which schedulers know it.
EXIT_CODE = 128 + signal.SIGTERM
LOOK = 10  # iterations


class TrainingStopped(SystemExit):
    """SIGTERM came, and a checkpoint is saved."""

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)


class WorkerInit:
    """What a worker of a DataLoader begins with: of all senders of SIGTERM it obeys only the process that reads it.

    A SIGTERM to the whole group lets that process finish its iteration, for which it needs its workers; and one that
    died might hold a lock that the process takes when it stops them, and would wait for, for ever. It ends them itself,
    and they end by themselves when it is gone (both are torch's and multiprocessing's doing).

    Where the system does not tell a signal's sender (macOS, Windows) nothing is changed. A program that a worker starts
    inherits that SIGTERM is blocked: it is ended with SIGKILL.

    Args:
        first: the DataLoader's own ``worker_init_fn``.
    """

    def __init__(self, first: Callable[[int], None] | None) -> None:
        self.first = first

    def __call__(self, worker: int) -> None:
        # Not its parent: with the start method forkserver that is the server.
        reader = multiprocessing.parent_process()
        if reader is not None and hasattr(signal, 'sigwaitinfo'):
            # Blocked, it waits until it is asked for; threads that come later inherit that.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            threading.Thread(target=_obey, args=(reader.pid, os.getppid()), name='sigterm', daemon=True).start()
        if self.first is not None:
            self.first(worker)


def _obey(reader: int, parent: int) -> None:
    """End at a SIGTERM of the reader, or at anybody's when the parent is gone."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != reader and os.getppid() == parent:
        pass
    os._exit(0)  # as torch's own handler does


class InterruptionHook(Hook):
    """Saves ``interrupted.pth`` after the iteration in which SIGTERM came, and ends the training.

    Schedulers (Slurm's time limit, a spot machine, ``docker stop``) send it some seconds before they kill. Where
    gradients are accumulated it waits for the weights' next update, so that the checkpoint needs no gradients in it.
    """

    priority = 'LOWEST'  # after the CheckpointHook

    def __init__(self) -> None:
        self.came = False
        self.agreed = False  # all processes know that it came to one of them
        # Whether what is in the memory now is what an iteration has left; not so in a validation, for which an
        # EMAHook has put other weights into the model.
        self.settled = True

    @contextmanager
    def listening(self) -> Iterator[None]:
        """SIGTERM is noted, not obeyed, within. Only the main thread can listen; in another nothing is changed."""
        owner = os.getpid()

        def note(number: int, frame) -> None:
            if os.getpid() != owner:  # a worker, forked with this handler in it
                os._exit(EXIT_CODE)
            self.came = True
            # Where the signal went to the whole group, workers without WorkerInit's help are dead as well, of which
            # torch would raise an error in the middle of an iteration that still has all its data.
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
        self.settled = False

    def before_val(self, runner: Runner) -> None:
        """From here on the model may hold other weights."""
        self.settled = False

    def after_val(self, runner: Runner) -> None:
        """The weights are those of the training again."""
        self.settled = True

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Stop where SIGTERM came to any process."""
        self.settled = True
        iterations = runner.iter + 1
        self._agree(iterations)
        if self.agreed and iterations < runner.max_iters and all_gradients_used(runner):
            self.stop(runner, iterations)

    def died_waiting(self, error: RuntimeError) -> bool:
        """Whether SIGTERM went to the whole group, and this process was waiting for data of a worker that it ended."""
        # Other processes may be in the middle of an iteration, where they wait for this one.
        return self.came and self.settled and get_world_size() == 1 and 'worker' in str(error)

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

    def _agree(self, iterations: int) -> None:
        if get_world_size() == 1:
            self.agreed = self.came
        elif iterations % LOOK == 0:
            came = torch.tensor(int(self.came), device=get_device())
            all_reduce(came, 'max')
            self.agreed = bool(came.item())
