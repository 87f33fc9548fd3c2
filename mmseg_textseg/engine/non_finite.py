"""A loss or gradient that is no number: stop, or pass over the batch, with the batch kept to look at."""

from pathlib import Path

import torch
from mmengine.dist import all_reduce, get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.utils import apply_to
from mmseg.registry import HOOKS
from torch import Tensor

from ..fileio import whole_file
from .optim import steps_one_optimizer

ACTIONS = ('stop', 'skip')


class NonFiniteError(RuntimeError):
    """The loss, a gradient or the weights of a training are not finite any more."""


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Looks at losses and gradients before the optimizer's step: what is not finite never reaches the weights.

    The batch goes to ``work_dir/non_finite/iter_<n>_rank_<r>.pth`` (images as they came from the pipeline, names,
    sentences, masks, loss; with accumulated gradients all batches since the last step), to be read with
    ``torch.load(..., weights_only=True)``. All processes do as one. Where gradients are scaled (float16) the scaler
    itself looks at them, and lowers its scale, so here it is the loss alone. Several optimizers
    (``OptimWrapperDict``) are not looked at.

    Args:
        action: ``'stop'`` ends the training; ``'skip'`` goes on with the next batch.
        max_skips: so many steps in a row may be passed over.

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
        self.looks = False
        # Since the last step.
        self.batches: list[dict] = []
        self.losses: list[Tensor] = []
        self.buffers: dict[str, Tensor] = {}

    def before_train(self, runner: Runner) -> None:
        """Put the look before the optimizer wrapper's step."""
        wrapper = runner.optim_wrapper
        self.looks = steps_one_optimizer(wrapper)
        if not self.looks:
            return
        update, step = wrapper.update_params, wrapper.step

        def noted(loss: Tensor, *args, **kwargs) -> None:
            self.losses.append(loss.detach())
            update(loss, *args, **kwargs)

        def checked(**kwargs) -> None:
            # One look a step, when backward is under way: a look before it would keep an accelerator waiting.
            if self._finite(wrapper):
                self.in_a_row = 0
                step(**kwargs)
            else:
                self._met(runner)
            self.batches, self.losses, self.buffers = [], [], {}

        wrapper.update_params, wrapper.step = noted, checked

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Keep the batch in sight, and what the forward pass itself changes: running means and variances."""
        if not self.looks:
            return
        self.batches.append(data_batch)
        if self.action == 'skip' and not self.buffers:
            self.buffers = {name: value.clone() for name, value in runner.model.named_buffers()}

    def _finite(self, wrapper) -> bool:
        values = [loss.float().sum() for loss in self.losses]
        if not hasattr(wrapper, 'loss_scaler'):
            parameters = (value for group in wrapper.param_groups for value in group['params'])
            gradients = [value.grad for value in parameters if value.grad is not None]
            values += torch._foreach_norm(gradients) if gradients else []
        bad = (~torch.isfinite(torch.stack([value.float() for value in values]))).any().to(torch.int32)
        all_reduce(bad, 'max')
        return not bad.item()

    def _met(self, runner: Runner) -> None:
        self.in_a_row += 1
        iteration = runner.iter + 1
        samples = [sample for batch in self.batches if isinstance(batch, dict) for sample in _samples(batch)]
        names = [_name(sample) for sample in samples]
        path = Path(runner.work_dir) / 'non_finite' / f'iter_{iteration}_rank_{get_rank()}.pth'
        kept = dict(
            iteration=iteration,
            loss=torch.stack(self.losses).cpu(),
            items=names,
            inputs=[_plain(batch['inputs']) for batch in self.batches if isinstance(batch, dict)],
            sentences=[str(_of(sample, 'text')) for sample in samples],
            masks=[_plain(getattr(getattr(sample, 'gt_sem_seg', None), 'data', None)) for sample in samples],
        )
        with whole_file(path, 'wb') as file:
            torch.save(kept, file)
        what = 'loss' if not torch.isfinite(kept['loss']).all() else 'gradient'
        told = f'the {what} of iteration {iteration} is not finite ({", ".join(names)}; batch: {path})'
        if self.action == 'skip' and self.in_a_row <= self.max_skips:
            runner.logger.warning(f'{told}: passed over, {self.in_a_row} in a row')
            for name, value in runner.model.named_buffers():
                if name in self.buffers and self.buffers[name].shape == value.shape:
                    value.copy_(self.buffers[name])
            return
        raise NonFiniteError(
            f'{told}. The weights are those before it. A lower learning rate or a lower '
            'optim_wrapper.clip_grad.max_norm often helps; '
            + (
                'default_hooks.non_finite.action=skip passes over such batches'
                if self.action == 'stop'
                else f'default_hooks.non_finite.max_skips={self.max_skips} allows no more in a row'
            )
        )


def _samples(batch: dict) -> list:
    return list(batch.get('data_samples') or [])


def _plain(value):
    """Tensors on the CPU, lists and dicts of them as they are."""
    return apply_to(value, lambda one: isinstance(one, Tensor), lambda one: one.detach().cpu())


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
            f'{len(bad)} weights are not finite ({", ".join(bad[:3])}, ...): no checkpoint is written over those '
            'before; go on from the last one with a lower learning rate or with optim_wrapper.clip_grad'
        )
