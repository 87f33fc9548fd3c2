"""mmengine's Runner, for trainings that can be stopped at any moment and gone on with as if nothing had happened."""

import random
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.dist import all_gather_object, get_rank, is_main_process
from mmengine.hooks import CheckpointHook, EarlyStoppingHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import CheckpointLoader, EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmseg.registry import HOOKS, LOOPS, RUNNERS

from ..datasets.seeded import NumberedSampler
from .checkpoints import find_whole_checkpoint, whole_checkpoint
from .interruption import InterruptionHook, WorkerInit
from .kept_states import KeptStates
from .non_finite import check_weights

RNG_KEY = 'mmseg_textseg_rng'


@LOOPS.register_module()
class ResumableEpochLoop(EpochBasedTrainLoop):
    """mmengine's loop, but an epoch that was interrupted is gone on with in its middle, not begun anew.

    Attributes:
        done: iterations of the next epoch to run that were done before this process; set when a checkpoint is loaded.
        first: iterations before the epoch that is running, or to run next.
    """

    done = 0
    first = 0

    def run_epoch(self) -> None:
        """Iterate what is left of one epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        done, self.done = self.done, 0
        self.first = self._iter - done
        sampler, skipped = getattr(self.dataloader, 'sampler', None), 0
        if done and isinstance(sampler, NumberedSampler) and self.dataloader.batch_size:
            sampler.start_at(done * self.dataloader.batch_size)
            skipped = done
        for index, batch in enumerate(self.dataloader, start=skipped):
            if index >= done:
                self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
        self.first = self._iter  # a validation may save, before the next epoch begins


class _Places(Hook):
    """Where in an epoch a checkpoint was saved, and the validation that was due when it was."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.due = False
        self.validating = False

    def before_val(self, runner: Runner) -> None:
        self.validating = True

    def after_val(self, runner: Runner) -> None:
        self.validating = False

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        loop, meta = runner.train_loop, checkpoint['meta']
        # With the best score the last checkpoint is saved anew, at the end of the validation.
        meta['validated'] = self.validating
        if isinstance(loop, ResumableEpochLoop):
            done = meta['iter'] - loop.first if meta['epoch'] == loop.epoch else 0
            meta.update(done_in_epoch=done, epoch_length=len(loop.dataloader))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        loop, meta = runner._train_loop, checkpoint.get('meta', {})
        self.due = runner._resume and not meta.get('validated')
        if not runner._resume or not isinstance(loop, ResumableEpochLoop) or not meta.get('done_in_epoch'):
            return
        if meta['epoch_length'] == len(loop.dataloader):
            loop.done = meta['done_in_epoch']
        else:
            runner.logger.warning(
                f'an epoch has {len(loop.dataloader)} iterations now and had {meta["epoch_length"]}: epoch '
                f'{meta["epoch"] + 1}, of which {meta["done_in_epoch"]} were done, begins anew'
            )

    def before_train(self, runner: Runner) -> None:
        """A checkpoint is saved before the validation that follows: that one may not have come to its end."""
        loop = runner.train_loop
        if not self.due or runner.val_loop is None or getattr(loop, 'done', 0):
            return
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        if not by_epoch and not isinstance(loop, IterBasedTrainLoop):
            return
        loop._decide_current_val_interval()
        now, end = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
        if now and now >= loop.val_begin and (now % loop.val_interval == 0 or now == end):
            runner.val_loop.run()


class _RandomStates(Hook):
    """Puts the generators' states into checkpoints, and back before the first iteration of a training gone on with."""

    priority = 'HIGHEST'

    def __init__(self) -> None:
        self.saved: list[dict] = []
        self.loaded: dict | None = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint[RNG_KEY] = self.saved

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        states = checkpoint.get(RNG_KEY)
        if not runner._resume or not states:
            return
        if get_rank() >= len(states):
            runner.logger.warning(
                f'the checkpoint has random states of {len(states)} processes: this run will not equal that one'
            )
            return
        self.loaded = states[get_rank()]

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        if self.loaded is not None:
            _set_states(self.loaded)
            self.loaded = None


def _states() -> dict:
    """Of all generators that a model may draw from, in types that weights_only reads."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    states = dict(
        python=(version, list(numbers), gauss),
        numpy=(name, torch.from_numpy(keys.astype(np.int64)), int(position), int(has_gauss), float(cached)),
        torch=torch.get_rng_state(),
    )
    if (device := get_device()) != 'cpu':
        states['accelerator'] = getattr(torch, device).get_rng_state()
    return states


def _set_states(states: dict) -> None:
    version, numbers, gauss = states['python']
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = states['numpy']
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states['torch'].cpu())
    if 'accelerator' in states and (device := get_device()) != 'cpu':
        getattr(torch, device).set_rng_state(states['accelerator'].cpu())


def _class(kind, registry) -> type | None:
    """Of a config's ``type``: a name, with or without a scope, or the class itself."""
    return registry.get(kind) if isinstance(kind, str) else kind


@RUNNERS.register_module()
class TextSegRunner(Runner):
    """mmengine's Runner, and on one machine with one version of torch, bit for bit:

    - A training gone on with (``resume``) equals one that was never stopped, also in the middle of an epoch.
    - The data of a training do not depend on the number of workers, nor, taken together, on that of processes.
    - A checkpoint is whole or not there, and at least one is there from the first on.
    - SIGTERM saves a checkpoint and ends the training.
    - A loss that is no number never reaches the weights (:class:`NonFiniteLossHook`).

    Configs choose it with ``runner_type = 'TextSegRunner'``; ``tools/train.py`` takes it for those that name none.
    """

    def __init__(self, *args, resume: bool = False, load_from: str | None = None, randomness=None, **kwargs) -> None:
        self._states = _RandomStates()
        self._interruption = InterruptionHook()
        self._kept = KeptStates()
        randomness = dict(randomness or dict(seed=None))
        if resume:
            load_from = load_from or find_whole_checkpoint(kwargs['work_dir'])
        nothing = resume and load_from is None
        if resume and load_from and randomness.get('seed') is None:
            # mmengine takes the checkpoint's seed too, but after it has built the sampler with another.
            meta = CheckpointLoader.load_checkpoint(load_from, 'cpu', 'silent').get('meta', {})
            randomness['seed'] = meta.get('seed')
        super().__init__(*args, resume=resume and not nothing, load_from=load_from, randomness=randomness, **kwargs)
        if nothing:
            self.logger.warning(f'nothing to resume from in {kwargs["work_dir"]}: the training starts at its beginning')

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """mmengine's, with this runner's own."""
        hooks = dict(hooks or {})
        hooks.setdefault('non_finite', dict(type='NonFiniteLossHook'))
        checkpoint = hooks.get('checkpoint', dict(type='CheckpointHook', interval=1))
        if isinstance(checkpoint, dict) and _class(checkpoint.get('type'), HOOKS) is CheckpointHook:
            hooks['checkpoint'] = dict(checkpoint, type='WholeCheckpointHook')
        super().register_default_hooks(hooks)
        self.register_hook(self._states)
        self.register_hook(_Places())
        self.register_hook(self._interruption)
        self.register_hook(self._kept)

    def register_hooks(self, default_hooks: dict | None = None, custom_hooks: list | None = None) -> None:
        """mmengine's; early stopping counts a validation before its checkpoint is saved, or it would be forgotten."""
        super().register_hooks(default_hooks, custom_hooks)
        for hook in [hook for hook in self._hooks if isinstance(hook, EarlyStoppingHook)]:
            self._hooks.remove(hook)
            self.register_hook(hook, 'LOW')

    def build_train_loop(self, loop):
        """Seeded data, and a loop that can begin in the middle of an epoch."""
        data = self._train_dataloader
        if isinstance(data, dict):
            data = deepcopy(data)
            data['dataset'] = dict(type='SeededDataset', dataset=data['dataset'])
            data['sampler'] = dict(type='NumberedSampler', sampler=data['sampler'])
            self._train_dataloader = data
        by_epoch = isinstance(loop, dict) and (
            loop.get('by_epoch') or _class(loop.get('type'), LOOPS) is EpochBasedTrainLoop
        )
        if by_epoch:
            loop = {key: value for key, value in loop.items() if key != 'by_epoch'} | dict(type='ResumableEpochLoop')
        return super().build_train_loop(loop)

    @staticmethod
    def build_dataloader(dataloader, seed=None, diff_rank_seed=False):
        """With a generator of its own: to begin a pass takes nothing from the one that the model draws from.

        Its workers obey this process alone (:class:`~.interruption.WorkerInit`).
        """
        loader = Runner.build_dataloader(dataloader, seed=seed, diff_rank_seed=diff_rank_seed)
        if not isinstance(loader.worker_init_fn, WorkerInit):
            loader.worker_init_fn = WorkerInit(loader.worker_init_fn)
        if loader.generator is None:
            loader.generator = torch.Generator().manual_seed(seed or 0)
        return loader

    def train(self) -> torch.nn.Module:
        """Train, until the end or SIGTERM.

        Raises:
            TrainingStopped: SIGTERM came; a checkpoint is saved.
            NonFiniteError: the loss or the weights are not finite any more.
        """
        with self._interruption.listening():
            try:
                return super().train()
            except RuntimeError as error:
                # Workers that a SIGTERM to the whole group ended, while this process waited for their data: WorkerInit
                # prevents it where the system tells a signal's sender, and once they have begun.
                if not self._interruption.died_waiting(error):
                    raise
                self._interruption.stop(self, self.iter)

    def save_checkpoint(self, out_dir: str, filename: str, *args, save_optimizer: bool = True, **kwargs) -> None:
        """mmengine's, whole or not at all, with the generators' states of all processes, which all have to call it.

        Raises:
            OSError: it could not be written; those before are whole.
            NonFiniteError: the weights are not finite.
        """
        check_weights(self.model.module if is_model_wrapper(self.model) else self.model)
        with self._kept.collected(self, save_optimizer):
            self._states.saved = all_gather_object(self._states.loaded or _states())
            if is_main_process():
                self._save(out_dir, filename, *args, save_optimizer=save_optimizer, **kwargs)

    def _save(self, out_dir: str, filename: str, *args, **kwargs) -> None:
        if '://' in str(out_dir):  # not a folder of this machine: what whole means is the store's affair
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        with whole_checkpoint(Path(out_dir) / filename) as part:
            super().save_checkpoint(out_dir, part, *args, **kwargs)
