"""Contrastive pretraining without negatives can collapse: one encoding for all images, at the best loss there is."""

import math

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS


class CollapseError(RuntimeError):
    """The encodings are the same for all images, or no numbers."""


@HOOKS.register_module()
class CollapseMonitorHook(Hook):
    """Stop a run whose ``spread_<i>`` (see :class:`PPESimSiam`) stays below a bound.

    Args:
        threshold: bound; 1 is healthy, 0 collapsed.
        patience: iterations in a row below it that are let pass.
    """

    priority = 'LOW'  # after the logger, so that the log holds the figures

    def __init__(self, threshold: float = 0.01, patience: int = 50):
        self.threshold, self.patience = threshold, patience
        self.below = {}

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        """Look at the iteration's outputs.

        Raises:
            CollapseError: naming the maps, the figures and what to try.
        """
        spreads = {k: float(v) for k, v in (outputs or {}).items() if k.startswith('spread_')}
        if not spreads:
            raise CollapseError('CollapseMonitorHook found no spread_<i> in the model outputs: it is for PPESimSiam')
        for key, value in spreads.items():
            self.below[key] = self.below.get(key, 0) + 1 if value < self.threshold else 0
        collapsed = {k: spreads[k] for k, n in self.below.items() if n > self.patience or not math.isfinite(spreads[k])}
        if collapsed:
            figures = ', '.join(f'{key} {value:.2g}' for key, value in collapsed.items())
            raise CollapseError(
                f'the encodings have collapsed at iteration {runner.iter + 1}: {figures} (1 is healthy, below '
                f'{self.threshold:g} for more than {self.patience} iterations is not). Try a lower learning rate, a '
                'larger batch, stronger views, or a longer warm-up; checkpoints so far are kept'
            )
