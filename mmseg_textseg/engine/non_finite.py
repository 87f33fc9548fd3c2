"""A loss that is no number: stop, or pass over the batch, with the batch kept to look at."""

from pathlib import Path

import torch
from mmengine.dist import all_reduce, get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor

from ..fileio import whole_file

ACTIONS = ('stop', 'skip')


class NonFiniteError(RuntimeError):
    """The loss or the weights of a training are not finite any more."""


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Looks at the loss before its gradient: what is not finite never reaches the weights.

    The batch goes to ``work_dir/non_finite/iter_<n>_rank_<r>.pth`` (images as they came from the pipeline, their names
    and sentences, the losses), to be read with ``torch.load(..., weights_only=True)``. All processes do as one.

    Args:
        action: ``'stop'`` ends the training; ``'skip'`` goes on with the next batch.
        max_skips: so many batches in a row end the training all the same.

    Raises:
        ValueError: another action.
    """

    priority = 'VERY_HIGH'

    def __init__(self, action: str = 'stop', max_skips: int = 10) -> None:
        if action not in ACTIONS:
            raise ValueError(f'NonFiniteLossHook: action={action!r}: expected one of {", ".join(ACTIONS)}')
        self.action = action
        self.max_skips = max_skips
        self.in_a_row = 0
        self.batch: dict | None = None
        self.buffers: dict[str, Tensor] = {}

    def before_train(self, runner: Runner) -> None:
        """Put the look before the optimizer wrapper's update."""
        wrapper = runner.optim_wrapper
        update = wrapper.update_params

        def checked(loss: Tensor, *args, **kwargs) -> None:
            if self._all_finite(loss):
                self.in_a_row = 0
                update(loss, *args, **kwargs)
            else:
                self._met(runner, loss)
                for name, value in runner.model.named_buffers():
                    if name in self.buffers and self.buffers[name].shape == value.shape:
                        value.copy_(self.buffers[name])
                # The gradients of a batch added up so far go with it; the count that says when to step goes on.
                wrapper.zero_grad()
                if hasattr(wrapper, '_inner_count'):
                    wrapper._inner_count += 1

        wrapper.update_params = checked

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Keep the batch in sight, and what the forward pass itself changes: running means and variances."""
        self.batch = data_batch
        if self.action == 'skip':
            self.buffers = {name: value.clone() for name, value in runner.model.named_buffers()}

    def _all_finite(self, loss: Tensor) -> bool:
        bad = (~torch.isfinite(loss.detach())).any().to(torch.int32)
        all_reduce(bad, 'max')
        return not bad.item()

    def _met(self, runner: Runner, loss: Tensor) -> None:
        self.in_a_row += 1
        iteration = runner.iter + 1
        samples = self.batch['data_samples'] if isinstance(self.batch, dict) else []
        names = [_name(sample) for sample in samples]
        path = Path(runner.work_dir) / 'non_finite' / f'iter_{iteration}_rank_{get_rank()}.pth'
        kept = dict(iteration=iteration, loss=loss.detach().cpu(), items=names)
        if samples:
            kept['inputs'] = [image.detach().cpu() for image in self.batch['inputs']]
            kept['sentences'] = [str(_of(sample, 'text')) for sample in samples]
            masks = [getattr(sample, 'gt_sem_seg', None) for sample in samples]
            kept['masks'] = [None if mask is None else mask.data.detach().cpu() for mask in masks]
        with whole_file(path, 'wb') as file:
            torch.save(kept, file)
        told = f'the loss of iteration {iteration} is {float(loss.detach().sum())} ({", ".join(names)}; batch: {path})'
        if self.action == 'skip' and self.in_a_row <= self.max_skips:
            runner.logger.warning(f'{told}: passed over, {self.in_a_row} in a row')
            return
        raise NonFiniteError(
            f'{told}. The weights are those of the iteration before. A lower learning rate or a lower '
            'optim_wrapper.clip_grad.max_norm often helps; '
            + (
                'default_hooks.non_finite.action=skip passes over such batches'
                if self.action == 'stop'
                else f'default_hooks.non_finite.max_skips={self.max_skips} allows no more in a row'
            )
        )


def _of(sample, key: str):
    return getattr(sample, 'metainfo', {}).get(key)


def _name(sample) -> str:
    return str(_of(sample, 'sample_id') or _of(sample, 'img_path') or 'an item without a name')


def check_weights(model: torch.nn.Module) -> None:
    """Refuse to save what no training can go on from.

    Raises:
        NonFiniteError: names the first parameters that are not finite.
    """
    bad = [name for name, value in model.named_parameters() if not torch.isfinite(value).all()]
    if bad:
        raise NonFiniteError(
            f'{len(bad)} weights are not finite ({", ".join(bad[:3])}, ...): a gradient was not, though the loss was. '
            'No checkpoint is written over those before; go on from the last one with a lower learning rate or with '
            'optim_wrapper.clip_grad'
        )
