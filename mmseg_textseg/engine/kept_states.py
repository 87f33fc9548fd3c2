"""What a training remembers outside of weights and optimizer, put into the checkpoints that it is gone on from."""

from mmengine.dist import get_rank
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.utils import apply_to
from torch import Tensor, nn

KEY = 'mmseg_textseg_kept'


class KeptStates(Hook):
    """Counts of :class:`EarlyStoppingHook`, and what modules with ``resume_state()`` and ``resume_from(state)`` keep.

    A module's state is of its process, and made of tensors, numbers, strings, lists, tuples and dicts, which
    ``weights_only`` reads. Checkpoints without an optimizer, the best ones, which are handed on, have none of this.

    Attributes:
        saved: the modules' states of each process; set before a checkpoint is saved.
    """

    priority = 'HIGHEST'

    def __init__(self) -> None:
        self.saved: list[dict] = []

    def collect(self, runner: Runner) -> dict:
        """Of this process."""
        states = {name: module.resume_state() for name, module in _modules(runner)}
        return apply_to(states, lambda one: isinstance(one, Tensor), lambda one: one.detach().cpu())

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put them in."""
        if 'optimizer' in checkpoint:
            # All processes count the same: they see the same metrics.
            counts = [(_which(hook), hook.wait_count, hook.best_score) for hook in _early_stopping(runner)]
            checkpoint[KEY] = dict(modules=self.saved, early_stopping=counts)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take them from the run that is gone on with."""
        kept = checkpoint.get(KEY)
        if not runner._resume or not kept:
            return
        modules = _modules(runner)
        if modules and get_rank() >= len(kept['modules']):
            runner.logger.warning(
                f'the checkpoint is of {len(kept["modules"])} processes: what {modules[0][0]} keeps begins anew here'
            )
        else:
            for name, module in modules:
                if name in kept['modules'][get_rank()]:
                    module.resume_from(kept['modules'][get_rank()][name])
        counts = {which: (count, best) for which, count, best in kept['early_stopping']}
        for hook in _early_stopping(runner):
            if _which(hook) in counts:
                hook.wait_count, hook.best_score = counts[_which(hook)]
                if _at_its_end(hook):
                    runner.train_loop.stop_training = True


def _modules(runner: Runner) -> list[tuple[str, nn.Module]]:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return [(name, module) for name, module in model.named_modules() if hasattr(module, 'resume_state')]


def _early_stopping(runner: Runner) -> list[EarlyStoppingHook]:
    return [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]


def _which(hook: EarlyStoppingHook) -> str:
    return f'{hook.monitor} {hook.rule}'


def _at_its_end(hook: EarlyStoppingHook) -> bool:
    passed = hook.stopping_threshold is not None and hook.rule_map[hook.rule](hook.best_score, hook.stopping_threshold)
    return passed or hook.wait_count >= hook.patience
