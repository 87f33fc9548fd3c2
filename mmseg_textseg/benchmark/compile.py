"""What torch.compile, folding and bfloat16 add to LSMS in evaluation."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import perf_counter

import torch

from ..models.fusing import fuse
from .group import Group
from .models import VARIANTS, build_lsms, images, logits, no_grad, token_ids


def groups(
    sizes: Sequence[int] = (480,),
    batches: Sequence[int] = (1,),
    variants: Sequence[str] = ('tiny',),
    backend: str = 'inductor',
) -> Iterator[Group]:
    """The whole model from images and encoded words to logits; the job tells how long compiling took.

    Compiled for one size each, minutes long on a CPU, and before anything is timed.

    Args:
        sizes: sides of images.
        batches: numbers of images.
        variants: of ``VARIANTS``.
        backend: of ``torch.compile``.
    """
    for name in variants:
        model = build_lsms(VARIANTS[name]).eval()
        fused = fuse(model)
        for size in sizes:
            for batch in batches:
                # Else a second size would be compiled for any size, and tell of another program than the first.
                torch.compiler.reset()
                x = images(size, batch)
                with torch.no_grad():
                    text = model.text_encoder(*token_ids(batch))
                compiled = torch.compile(logits, backend=backend, dynamic=False)
                calls = {
                    'eager': partial(logits, model, x, text),
                    'folded': partial(logits, fused, x, text),
                    'compiled': partial(compiled, model, x, text),
                    'folded, compiled': partial(compiled, fused, x, text),
                    'bfloat16': _bfloat16(partial(logits, model, x, text), x.device.type),
                    'folded, bfloat16': _bfloat16(partial(logits, fused, x, text), x.device.type),
                }
                calls = {key: no_grad(call) for key, call in calls.items()}
                seconds = {key: _seconds(calls[key]) for key in ('compiled', 'folded, compiled')}
                told = ', '.join(f'{key} {value:.0f} s' for key, value in seconds.items())
                yield Group(
                    f'compile/{name}/{size}/{batch}',
                    f'LSMS, words encoded before, evaluation; first call: {told}',
                    calls,
                    'eager',
                    dict(pixels=size * size, batch=batch),
                    traced=False,
                )


def _bfloat16(call: Callable[[], object], device: str) -> Callable[[], object]:
    def run() -> object:
        with torch.autocast(device, torch.bfloat16):
            return call()

    return run


def _seconds(call: Callable[[], object]) -> float:
    started = perf_counter()
    call()
    return perf_counter() - started
