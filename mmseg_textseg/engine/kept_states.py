"""What a training remembers outside of weights and optimizer, put into checkpoints for each process."""

from mmengine.dist import get_rank
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

KEY = 'mmseg_textseg_kept'


class KeptStates(Hook):
    """Counts of :class:`EarlyStoppingHook`, and what modules with ``resume_state()`` and ``resume_from(state)`` keep.

    Attributes:
        saved: a dict for each process; set before a checkpoint is saved.
    """

    priority = 'HIGHEST'

    def __init__(self) -> None:
        self.saved: list[dict] = []

    def collect(self, runner: Runner) -> dict:
        """Of this process, in types that ``weights_only`` reads."""
        states = {name: module.resume_state() for name, module in _modules(runner)}
        counts = [(hook.wait_count, hook.best_score) for hook in _early_stopping(runner)]
        return dict(modules=states, early_stopping=counts)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put them in."""
        checkpoint[KEY] = self.saved

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take them from the run that is gone on with."""
        states = checkpoint.get(KEY, [])
        if not runner._resume or get_rank() >= len(states):
            return
        mine = states[get_rank()]
        for name, module in _modules(runner):
            if name in mine['modules']:
                module.resume_from(mine['modules'][name])
        for hook, (count, best) in zip(_early_stopping(runner), mine['early_stopping'], strict=False):
            hook.wait_count, hook.best_score = count, best


def _modules(runner: Runner) -> list:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return [(name, module) for name, module in model.named_modules() if hasattr(module, 'resume_state')]


def _early_stopping(runner: Runner) -> list[EarlyStoppingHook]:
    return [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]
