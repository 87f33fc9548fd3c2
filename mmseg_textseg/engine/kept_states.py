"""What a training remembers outside of weights and optimizer, put into the checkpoints that it is gone on from."""

from mmengine.dist import all_gather_object, all_reduce, get_rank, get_world_size, is_main_process
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.utils import apply_to
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

KEY = 'mmseg_textseg_kept'


class KeptStates(Hook):
    """Counts of :class:`EarlyStoppingHook`, what modules and hooks with ``resume_state()`` and ``resume_from(state)``
    keep, and the gradients of an accumulation that is not at its end.

    The state of a module or hook is of its process, and made of tensors, numbers, strings, lists, tuples and dicts,
    which ``weights_only`` reads. Gradients are the mean of those of all processes, which is what these will use.
    Checkpoints without an optimizer, the best ones, which are handed on, have none of this.

    Attributes:
        saved: the states of each process; set before a checkpoint is saved.
        gradients: by the parameters' names; set before a checkpoint is saved.
    """

    priority = 'HIGHEST'

    def __init__(self) -> None:
        self.saved: list[dict] = []
        self.gradients: dict[str, Tensor] = {}

    def collect(self, runner: Runner) -> None:
        """All processes have to call it."""
        states = {name: one.resume_state() for name, one in _remembering(runner)}
        states = apply_to(states, lambda one: isinstance(one, Tensor), lambda one: one.detach().cpu())
        self.saved = all_gather_object(states)
        self.gradients = _gradients(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put them in."""
        if 'optimizer' in checkpoint:
            # All processes count the same: they see the same metrics.
            counts = [(_which(hook), hook.wait_count, hook.best_score) for hook in _early_stopping(runner)]
            checkpoint[KEY] = dict(states=self.saved, early_stopping=counts)
            if self.gradients:
                checkpoint[KEY].update(gradients=self.gradients, accumulated=_accumulated(runner))
        self.gradients = {}

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
    """Not so in the middle of an accumulation."""
    due = getattr(runner.optim_wrapper, 'should_update', None)
    return due is None or due()


def _remembering(runner: Runner) -> list[tuple]:
    """Names and modules, then hooks."""
    modules = [(name, one) for name, one in _model(runner).named_modules() if hasattr(one, 'resume_state')]
    return modules + [(f'hook {type(one).__name__}', one) for one in runner.hooks if hasattr(one, 'resume_state')]


def _gradients(runner: Runner) -> dict[str, Tensor]:
    """On the CPU; empty where the weights' last update has used them all."""
    if all_gradients_used(runner) or not _has_whole_gradients(runner):
        return {}
    parameters = dict(_model(runner).named_parameters())
    there = {name for name, parameter in parameters.items() if parameter.grad is not None}
    there = set().union(*all_gather_object(there))
    found = {}
    for name, parameter in parameters.items():
        if name in there:
            mean = parameter.new_zeros(parameter.shape) if parameter.grad is None else parameter.grad.clone()
            all_reduce(mean, 'mean')
            if is_main_process():  # which writes the file
                found[name] = mean.cpu()
    return found


def _put_gradients(runner: Runner, kept: dict) -> None:
    if kept['accumulated'] != _accumulated(runner) or not _has_whole_gradients(runner):
        runner.logger.warning('the gradients in the checkpoint are of another accumulation: they are left out')
        return
    for name, parameter in _model(runner).named_parameters():
        if name in kept['gradients']:
            parameter.grad = kept['gradients'][name].to(parameter)
    runner.logger.info('the gradients of the accumulation that the checkpoint was saved in are in it: none is lost')


def _accumulated(runner: Runner) -> int:
    return runner.optim_wrapper._accumulative_counts


def _has_whole_gradients(runner: Runner) -> bool:
    """Not a shard of them, as under FSDP."""
    return get_world_size() == 1 or isinstance(runner.model, DistributedDataParallel)


def _model(runner: Runner):
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _early_stopping(runner: Runner) -> list[EarlyStoppingHook]:
    return [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]


def _which(hook: EarlyStoppingHook) -> str:
    return f'{hook.monitor} {hook.rule}'


def _at_its_end(hook: EarlyStoppingHook) -> bool:
    passed = hook.stopping_threshold is not None and hook.rule_map[hook.rule](hook.best_score, hook.stopping_threshold)
    return passed or hook.wait_count >= hook.patience
