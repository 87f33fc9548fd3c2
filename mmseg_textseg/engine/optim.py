"""Optimizer wrappers: mixed precision where there is no accelerator; which of them step one optimizer."""

from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmseg.registry import OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """bfloat16 autocast by device type, without loss scaling, which bfloat16's range does not need.

    mmengine's ``AmpOptimWrapper`` refuses to run on a CPU.
    """

    @contextmanager
    def optim_context(self, model: nn.Module):
        """Autocast around the forward pass, inside mmengine's gradient accumulation."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield


def steps_one_optimizer(wrapper) -> bool:
    """Several (``OptimWrapperDict``) are stepped by the model's own ``train_step``."""
    return isinstance(wrapper, OptimWrapper) and not isinstance(wrapper, OptimWrapperDict)
