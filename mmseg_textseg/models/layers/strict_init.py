"""Weights that really arrive: a strict initializer for backbones."""

import re
from collections.abc import Mapping, Sequence

from mmengine.logging import print_log
from mmengine.model import BaseModule, initialize, update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn


class WeightsError(RuntimeError):
    """A checkpoint whose tensors do not fit the model; the message names the keys."""


@WEIGHT_INITIALIZERS.register_module()
class StrictPretrained:
    """Load a checkpoint into a module, report every key, and fail where ``strict=False`` would be silent.

    Used as ``init_cfg=dict(type='StrictPretrained', checkpoint=..., new=(...))``.

    Args:
        checkpoint: path or URL; a state dict, or a checkpoint holding one under ``state_dict``.
        prefix: take only the keys under it, e.g. ``'backbone.'``.
        new: regular expressions of this module's keys that the checkpoint may lack (a branch that is
            new); they keep their own initialisation. Any other absent key is an error. Default: the
            module's ``new_weights``.
        map_location: as for ``torch.load``.
    """

    def __init__(self, checkpoint: str, prefix: str | None = None, new: Sequence[str] = (), map_location: str = 'cpu'):
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.new = tuple(new)
        self.map_location = map_location

    def __call__(self, module: nn.Module) -> None:
        """Fill ``module``.

        Raises:
            WeightsError: no key matches, a key of the module is neither in the checkpoint nor ``new``,
                or a tensor has another shape. The module is then left as it was.
            CheckpointError: the file is damaged, no checkpoint, or could run code.
        """
        loaded = CheckpointLoader.load_checkpoint(self.checkpoint, map_location=self.map_location, logger='current')
        state = loaded.get('state_dict', loaded)
        if self.prefix:
            state = {k[len(self.prefix) :]: v for k, v in state.items() if k.startswith(self.prefix)}
        where = f"'{self.checkpoint}'" + (f" under prefix '{self.prefix}'" if self.prefix else '')
        name = type(module).__name__
        if hasattr(module, 'adapt_weights'):
            state = module.adapt_weights(state)
        matched, missing, left = match_weights(module, state, where, self.new or getattr(module, 'new_weights', ()))
        module.load_state_dict({k: state[k] for k in matched}, strict=False)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=f'StrictPretrained: load from {self.checkpoint}')
        print_log(
            f'{name} from {where}: {len(matched)} keys matched; {len(missing)} of the model keep their own '
            f'initialisation ({_some(missing)}); {len(left)} of the file not used ({_some(left)}).',
            logger='current',
        )


class StrictInitModule(BaseModule):
    """A module whose initial weights come strictly, and last.

    mmengine runs an initializer before the ``init_weights`` of the module's children, and knows one exception,
    ``'Pretrained'``; a checkpoint loaded by :class:`StrictPretrained` would be drawn over. It also says
    nothing when nothing matches, so it is taken as ``'StrictPretrained'`` here.

    Subclasses may have ``new_weights`` (regular expressions of keys that a checkpoint may lack),
    ``fresh_weights()`` (their own initialisation), ``adapt_weights(state)`` (a checkpoint of another shape) and
    ``variant_options`` (words for the error of one that does not fit).
    """

    def __init__(self, init_cfg: dict | list[dict] | None = None):
        if init_cfg is not None:
            several = init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]
            several = [{**c, 'type': 'StrictPretrained'} if c.get('type') == 'Pretrained' else c for c in several]
            init_cfg = several if isinstance(init_cfg, (list, tuple)) else several[0]
        super().__init__(init_cfg)

    def fresh_weights(self) -> None:
        """Draw the module's own weights; the default is PyTorch's of construction."""

    def init_weights(self) -> None:
        """Fresh weights, the children's own, then ``init_cfg`` over both."""
        if self.is_init:
            return
        self.fresh_weights()
        init_cfg, self.init_cfg = self.init_cfg, None
        try:
            super().init_weights()
        finally:
            self.init_cfg = init_cfg
        if init_cfg:
            initialize(self, init_cfg)


def match_weights(
    module: nn.Module, state: Mapping[str, Tensor], where: str, new: Sequence[str] = ()
) -> tuple[list[str], list[str], list[str]]:
    """Keys that match, keys only the module has, keys only the state has.

    Args:
        module: to be filled.
        state: state dict.
        where: what the state is, for the error.
        new: regular expressions of keys that the state may lack.

    Raises:
        WeightsError: no key matches, a key is lacking, or a tensor has another shape.
    """
    own = module.state_dict()
    matched = [k for k in own if k in state]
    missing = [k for k in own if k not in state]
    # Counters are bookkeeping: older checkpoints lack them, and they do not change what a network computes.
    required = [k for k in missing if not k.endswith('num_batches_tracked') and not any(re.search(p, k) for p in new)]
    # The vocabulary is a tensor of bytes; it is compared by what it says.
    reshaped = [k for k in matched if not k.endswith('_extra_state') and own[k].shape != state[k].shape]
    name = type(module).__name__
    if not matched:
        raise WeightsError(
            f'no key of {where} matches {name}. It holds {_some(list(state))}; '
            f'{name} needs {_some(list(own))}. Is a prefix such as "backbone." missing, or is it another model?'
        )
    if required or reshaped:
        shapes = [f'{k} {tuple(state[k].shape)} instead of {tuple(own[k].shape)}' for k in reshaped]
        raise WeightsError(
            f'{where} does not fill {name}: absent: {_some(required)}; of another shape: {_some(shapes)}. '
            f'Check that {getattr(module, "variant_options", "the variant (arch, widths, depths)")} is as in the '
            'checkpoint.'
        )
    return matched, missing, [k for k in state if k not in own]


def _some(keys: Sequence[str], most: int = 5) -> str:
    return ', '.join(keys[:most]) + (f' and {len(keys) - most} more' if len(keys) > most else '') if keys else 'none'
