"""What a training remembers outside of weights and optimizer, put into the checkpoints that it is gone on from."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank, get_world_size, is_main_process
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.utils import apply_to
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from .optim import steps_one_optimizer

KEY = 'mmseg_textseg_kept'


class KeptStates(Hook):
    """Counts of :class:`EarlyStoppingHook`, what modules and hooks with ``resume_state()`` and ``resume_from(state)``
    keep, and the gradients of an accumulation that is not at its end.

    The state of a module or hook is of its process, and made of tensors, numbers, strings, lists, tuples and dicts,
    which ``weights_only`` reads. Gradients are the mean of those of all processes, which is what these will use.
    Checkpoints without an optimizer, the best ones, which are handed on, have none of this.
    """

    priority = 'HIGHEST'

    def __init__(self) -> None:
        self._collected: dict | None = None

    @contextmanager
    def collected(self, runner: Runner, wanted: bool) -> Iterator[None]:
        """What a checkpoint that is saved within will have; all processes have to call it."""
        if wanted:
            states = {name: one.resume_state() for name, one in _remembering(runner)}
            states = apply_to(states, lambda one: isinstance(one, Tensor), lambda one: one.detach().cpu())
            # All processes count the same: they see the same metrics.
            counts = [(_which(hook), hook.wait_count, hook.best_score) for hook in _early_stopping(runner)]
            self._collected = dict(states=all_gather_object(states), early_stopping=counts)
            if gradients := _gradients(runner):
                self._collected.update(gradients=gradients, accumulation=_accumulation(runner))
        try:
            yield
        finally:
            self._collected = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put them in."""
        if self._collected is not None:
            checkpoint[KEY] = self._collected

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take them from the run that is gone on with."""
        kept = checkpoint.get(KEY)
        if not runner._resume or not kept:
            return
        remembering = _remembering(runner)
        if remembering and get_rank() >= len(kept['states']):
            runner.logger.warning(
                f'the checkpoint is of {len(kept["states"])} processes: what {remembering[0][0]} keeps begins anew here'
            )
        else:
            for name, one in remembering:
                if name in kept['states'][get_rank()]:
                    one.resume_from(kept['states'][get_rank()][name])
        if 'gradients' in kept:
            _put_gradients(runner, kept)
        counts = {which: (count, best) for which, count, best in kept['early_stopping']}
        for hook in _early_stopping(runner):
            if _which(hook) in counts:
                hook.wait_count, hook.best_score = counts[_which(hook)]
                if _at_its_end(hook):
                    runner.train_loop.stop_training = True


def all_gradients_used(runner: Runner) -> bool:
    """Not so in the middle of an accumulation; always where there are several optimizers."""
    wrapper = runner.optim_wrapper
    return not steps_one_optimizer(wrapper) or wrapper.should_update()


def _remembering(runner: Runner) -> list[tuple]:
    """Names and modules, then hooks."""
    modules = [(name, one) for name, one in _model(runner).named_modules() if hasattr(one, 'resume_state')]
    hooks = [one for one in runner.hooks if hasattr(one, 'resume_state')]
    return modules + [(f'{type(one).__name__} (hook {number})', one) for number, one in enumerate(hooks)]


def _gradients(runner: Runner) -> dict[str, Tensor]:
    """By the parameters' names, in the first process alone; empty where the weights' last update has used them all."""
    if all_gradients_used(runner) or not _has_whole_gradients(runner):
        return {}
    parameters = dict(_model(runner).named_parameters())
    there = {name for name, parameter in parameters.items() if parameter.grad is not None}
    there = set().union(*all_gather_object(there))
    found = {}
    for name, parameter in parameters.items():
        if name in there:
            # In one order of elements in all processes, whatever a parameter's or a gradient's is.
            mean = torch.zeros_like(parameter, memory_format=torch.contiguous_format)
            if parameter.grad is not None:
                mean.copy_(parameter.grad)
            all_reduce(mean, 'mean')
            if is_main_process():  # which writes the file
                found[name] = mean.cpu()
    if not hasattr(runner.optim_wrapper, 'loss_scaler') and not all(value.isfinite().all() for value in found.values()):
        runner.logger.warning('gradients are not finite: the checkpoint has none of this accumulation')
        return {}
    return found


def _put_gradients(runner: Runner, kept: dict) -> None:
    if not steps_one_optimizer(runner.optim_wrapper):  # or not built: no training
        return
    if kept['accumulation'] != _accumulation(runner) or not _has_whole_gradients(runner):
        runner.logger.warning(
            'the gradients in the checkpoint are of another accumulation, precision or sharding: they are left out'
        )
        return
    for name, parameter in _model(runner).named_parameters():
        if name in kept['gradients']:
            parameter.grad = torch.empty_like(parameter).copy_(kept['gradients'][name])
    runner.logger.info(
        'the checkpoint has the gradients of the accumulation that it was saved in: that "the gradient of some '
        'iterations is lost" (mmengine) is not so'
    )


def _accumulation(runner: Runner) -> dict:
    """What gradients have to fit to."""
    wrapper = runner.optim_wrapper
    return dict(iterations=wrapper._accumulative_counts, scaled=hasattr(wrapper, 'loss_scaler'))


def _has_whole_gradients(runner: Runner) -> bool:
    """Not a shard of them, as under FSDP."""
    return get_world_size() == 1 or isinstance(runner.model, DistributedDataParallel)


def _model(runner: Runner) -> nn.Module:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _early_stopping(runner: Runner) -> list[EarlyStoppingHook]:
    return [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]


def _which(hook: EarlyStoppingHook) -> str:
    return f'{hook.monitor} {hook.rule}'


def _at_its_end(hook: EarlyStoppingHook) -> bool:
    passed = hook.stopping_threshold is not None and hook.rule_map[hook.rule](hook.best_score, hook.stopping_threshold)
    return passed or hook.wait_count >= hook.patience
