"""Gradient checkpointing: activations of a part are computed again in backward instead of being kept."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


# Else an error: dynamo knows no context_fn.
@torch.compiler.disable
def checkpointed(module: nn.Module, *args):
    """``module(*args)``, its activations computed again in backward; gradients, buffers and random numbers the same.

    ``torch.utils.checkpoint`` alone would move the running statistics of batch norms twice a step, and so does
    mmengine's ``activation_checkpointing``, whose reentrant form also cannot lead gradients into a text encoder from
    several blocks. Where nothing needs a gradient it is a plain call. ``torch.compile`` leaves it, and the loop
    it stands in, as they are.

    Args:
        module: whose activations are not kept.
        args: tensors and tuples of tensors.
    """
    tensors = [*module.parameters(), *(value for value in args if isinstance(value, torch.Tensor))]
    tensors += [value for group in args if isinstance(group, tuple) for value in group]
    if not torch.is_grad_enabled() or not any(value.requires_grad for value in tensors):
        return module(*args)
    return checkpoint(module, *args, use_reentrant=False, context_fn=lambda: (nullcontext(), _spare_buffers(module)))


@contextmanager
def _spare_buffers(module: nn.Module) -> Iterator[None]:
    """What the second pass writes into buffers is forgotten."""
    # Copies, as a norm that does not track saves fewer tensors for backward, which the second pass may not.
    own = [(m._buffers, name, b) for m in module.modules() for name, b in m._buffers.items() if b is not None]
    for buffers, name, buffer in own:
        buffers[name] = buffer.clone()
    try:
        yield
    finally:
        for buffers, name, buffer in own:
            buffers[name] = buffer
