"""What torch.compile adds, in evaluation and in training, and what folding and bfloat16 add beside it.

Compiled for one size each, minutes long on a CPU, and before anything is timed; a group's job tells how long.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import perf_counter

import torch
from mmseg.models.backbones import MSCAN
from torch._dynamo.backends.registry import lookup_backend
from torch._inductor import config as inductor_config

from ..models.fusing import fuse
from .group import Group
from .models import (
    LSMSLosses,
    Step,
    build_lsms,
    build_stock,
    images,
    logits,
    no_grad,
    samples,
    stock_encoder_config,
    token_ids,
    variants_of,
)


def encoder_groups(
    sizes: Sequence[int] = (480,),
    batches: Sequence[int] = (1,),
    variants: Sequence[str] = ('tiny',),
    backend: str = 'inductor',
) -> Iterator[Group]:
    """SVLAEncoder without text beside MSCAN as MMSegmentation ships it, both eager and compiled.

    Args:
        sizes: sides of images.
        batches: numbers of images.
        variants: of ``VARIANTS``.
        backend: of ``torch.compile``.
    """
    for name, variant in variants_of(variants):
        stock = MSCAN(**stock_encoder_config(variant)).eval()
        whole = build_lsms(variant, text=False).eval()
        whole.backbone.load_state_dict(stock.state_dict(), strict=True)
        fused = fuse(whole).backbone
        for size in sizes:
            for batch in batches:
                x = images(size, batch)
                torch.compiler.reset()
                models = {'MSCAN': stock, 'SVLAEncoder, folded': fused}
                calls = {key: partial(model, x) for key, model in models.items()}
                calls |= {f'{key}, compiled': partial(_compiled(model, backend), x) for key, model in models.items()}
                calls |= {
                    f'{key}, compiled, frozen': partial(_compiled(model, backend, frozen=True), x)
                    for key, model in models.items()
                }
                yield _group(f'compile-encoder/{name}/{size}/{batch}', 'text-free encoder, evaluation', calls)


def groups(
    sizes: Sequence[int] = (480,),
    batches: Sequence[int] = (1,),
    variants: Sequence[str] = ('tiny',),
    backend: str = 'inductor',
) -> Iterator[Group]:
    """The whole model from images and encoded words to logits. The arguments are those of :func:`encoder_groups`."""
    for name, variant in variants_of(variants):
        model = build_lsms(variant).eval()
        fused = fuse(model)
        for size in sizes:
            for batch in batches:
                torch.compiler.reset()
                x = images(size, batch)
                compiled, frozen = _compiled(logits, backend), _compiled(logits, backend, frozen=True)
                with torch.no_grad():
                    text = model.text_encoder(*token_ids(batch))
                calls = {
                    'eager': partial(logits, model, x, text),
                    'folded': partial(logits, fused, x, text),
                    'compiled': partial(compiled, model, x, text),
                    'folded, compiled': partial(compiled, fused, x, text),
                    'folded, compiled, frozen': partial(frozen, fused, x, text),
                    'bfloat16': _bfloat16(partial(logits, model, x, text), x.device.type),
                    'folded, bfloat16': _bfloat16(partial(logits, fused, x, text), x.device.type),
                }
                yield _group(f'compile/{name}/{size}/{batch}', 'LSMS, words encoded before, evaluation', calls)


def step_groups(
    sizes: Sequence[int] = (256,),
    batches: Sequence[int] = (2,),
    variants: Sequence[str] = ('tiny',),
    backend: str = 'inductor',
) -> Iterator[Group]:
    """A step of training beside the same model from stock-style modules, as :func:`models.step_groups`, compiled too.

    What is compiled is the way to the losses, the model's part of what mmengine's ``compile`` reaches, and so its
    backward.
    """
    for name, variant in variants_of(variants):
        whole, stock = build_lsms(variant), build_stock(variant, text=True)
        stock.load_ours(whole.state_dict())
        steps = {'stock-style': Step(stock), 'LSMS': Step(LSMSLosses(whole))}
        for size in sizes:
            for batch in batches:
                with torch.no_grad():
                    text = whole.text_encoder(*token_ids(batch))
                data = images(size, batch), samples(size, batch), text
                calls = {key: partial(step, *data) for key, step in steps.items()}
                torch.compiler.reset()
                for key, step in steps.items():
                    compiled = Step(step.model, compile_with=backend)
                    calls[f'{key}, compiled'] = partial(compiled, *data)
                yield _group(
                    f'compile-step/{name}/{size}/{batch}',
                    'training step: losses, backward, AdamW',
                    calls,
                    trains=True,
                )


def _compiled(call: Callable[..., object], backend: str, frozen: bool = False) -> Callable[..., object]:
    """Compiled anew for the sizes that it meets.

    ``torch.compiler.reset`` goes before: else a second size would be compiled for any size, and tell of another program
    than the first. Frozen weights are constants of the program, so that inductor lays them out once and puts what
    follows a convolution into it. That is a setting of the process (an option of ``torch.compile`` does not reach the
    part that reads the weights), so it is in force while the program runs.
    """
    if not frozen:
        return torch.compile(call, backend=backend, dynamic=False)
    compiler = lookup_backend(backend)

    def apart(graph: torch.fx.GraphModule, inputs: list) -> Callable[..., object]:
        # A compiler of its own: programs of one compiler take one another's place.
        return compiler(graph, inputs)

    program = torch.compile(call, backend=apart, dynamic=False)

    def run(*args) -> object:
        with inductor_config.patch(freezing=True):
            return program(*args)

    return run


def _bfloat16(call: Callable[[], object], device: str) -> Callable[[], object]:
    def run() -> object:
        with torch.autocast(device, torch.bfloat16):
            return call()

    return run


def _group(name: str, job: str, calls: dict[str, Callable[[], object]], trains: bool = False) -> Group:
    if not trains:
        calls = {key: no_grad(call) for key, call in calls.items()}
    size, batch = map(int, name.split('/')[-2:])
    seconds = {key: _seconds(call) for key, call in calls.items() if 'compiled' in key}
    told = ', '.join(f'{key} {value:.0f} s' for key, value in seconds.items())
    return Group(
        name,
        f'{job}; first call: {told}',
        calls,
        next(iter(calls)),
        dict(pixels=size * size, batch=batch),
        traced=False,
    )


def _seconds(call: Callable[[], object]) -> float:
    started = perf_counter()
    call()
    return perf_counter() - started
