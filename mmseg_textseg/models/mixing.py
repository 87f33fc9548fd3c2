"""Which parts of a segmentor do not fit one another: said when it is built, not by a shape error in training."""

import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from .decode_heads import FullScaleHead, MSFFUpAttentionHead
from .text_encoding import uses_text
from .text_features import TextFeatures

SIDE = 64
"""Of the image that is tried: MMSegmentation's backbones go down to a 32nd."""


class MixingError(ValueError):
    """A neck or head that cannot read the maps before it; the message says what they are, and the mend."""


def check_mix(model: nn.Module) -> None:
    """Try one image of 64 x 64 pixels; where the backbone takes only another size, compare widths alone.

    Only what is certain is an error: widths and numbers of maps that differ, sizes that a part of ours refuses by
    name. Anything else that goes wrong on so small an image (a pooling larger than the map, a norm of a single pixel, a
    head that needs more than maps) is left to the first real image. Weights, buffers and modes of the model stay as
    they are, and so does the state of random numbers.

    Args:
        model: a segmentor with backbone, optional neck, decode head and auxiliary heads, with or without text.

    Raises:
        MixingError: parts do not fit.
    """
    with untouched(model):
        weight = next(model.parameters())
        image = torch.zeros(1, 3, SIDE, SIDE, dtype=weight.dtype, device=weight.device)
        encoder = getattr(model, 'text_encoder', None)
        text = None if encoder is None else encoder.null(1, length=1, like=image)
        source = f'backbone {type(model.backbone).__name__}'
        maps = _maps(model.backbone, image, text)
        widths = getattr(model.backbone, 'out_channels', None) if maps is None else [m.shape[1] for m in maps]
        neck = getattr(model, 'neck', None)
        if neck is not None and isinstance(widths, (list, tuple)):
            _compare('neck', neck, source, widths)
            maps = maps and _read('neck', neck, source, maps, text)
            source, widths = f'neck {type(neck).__name__}', maps and [m.shape[1] for m in maps]
        for name, head in _heads(model):
            if isinstance(widths, (list, tuple)):
                _compare(name, head, source, widths)
            if maps is not None:
                _read(name, head, source, maps, text)


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Evaluation without gradient, after which modes, buffers and random numbers are what they were before."""
    modes = {module: module.training for module in model.modules()}
    # Stock NMF2D keeps its first bases as a buffer.
    buffers = {module: set(module._buffers) for module in modes}
    devices = {p.device for p in model.parameters() if p.device.type == 'cuda'}
    # Not by eval() and train(), which frozen parts override.
    for module in modes:
        module.training = False
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
            for name in set(module._buffers) - buffers[module]:
                delattr(module, name)


def _heads(model: nn.Module) -> Iterator[tuple[str, BaseDecodeHead]]:
    """Those that read maps by ``in_index`` and ``in_channels``, named as in the config."""
    for name in ('decode_head', 'auxiliary_head'):
        part = getattr(model, name, None)
        several = isinstance(part, nn.ModuleList)
        parts = {f'{name}[{i}]': head for i, head in enumerate(part)} if several else {name: part}
        yield from ((name, head) for name, head in parts.items() if isinstance(head, BaseDecodeHead))


def _call(part: nn.Module, x: Tensor | Sequence[Tensor], text: TextFeatures | None) -> tuple[Tensor, ...] | None:
    """What a part makes; None where that is not maps alone."""
    out = part(x, text=text) if uses_text(part) else part(x)
    maps = isinstance(out, (list, tuple)) and all(isinstance(m, Tensor) and m.dim() == 4 for m in out)
    return tuple(out) if maps else None


def _maps(backbone: nn.Module, image: Tensor, text: TextFeatures | None) -> tuple[Tensor, ...] | None:
    """None too where the backbone fails: the size of the image may be the cause."""
    try:
        return _call(backbone, image, text)
    except Exception:  # of whatever kind anyone's backbone raises
        return None


def _read(
    name: str, part: nn.Module, source: str, maps: Sequence[Tensor], text: TextFeatures | None
) -> tuple[Tensor, ...] | None:
    """What a neck or head makes of ``maps``; None where it fails for a reason that may be the image's size.

    Raises:
        MixingError: a part of ours refuses the maps, or a convolution behind ``in_channels`` is of another width.
    """
    try:
        return _call(part, maps, text)
    except Exception as error:
        refused = isinstance(error, ValueError) and _raised_by_us(error)
        if not refused and not re.search(r'to have \d+ channels', str(error)):
            return None
        sizes = ', '.join('{} x {} x {}'.format(*m.shape[1:]) for m in maps)
        raise MixingError(
            f'{name} {type(part).__name__} does not fit {source}: {error} (maps of an image of {SIDE} x {SIDE}, '
            f'channels first: {sizes})'
        ) from error


def _raised_by_us(error: Exception) -> bool:
    """PyTorch raises ValueError too, of a norm over a single pixel, say."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].f_globals.get('__name__', '').startswith('mmseg_textseg.')


def _compare(name: str, part: nn.Module, source: str, widths: Sequence[int]) -> None:
    """``in_index`` and ``in_channels`` of a neck or head against the widths that there are."""
    reader = part.msff if isinstance(part, MSFFUpAttentionHead) else part
    expected, index = getattr(reader, 'in_channels', None), getattr(reader, 'in_index', None)
    if isinstance(reader, FullScaleHead) and reader.mlps is not None:
        expected = [mlp.in_channels for mlp in reader.mlps]  # in_channels are those behind them
    if not isinstance(expected, (int, list, tuple)) or (index is None and isinstance(expected, int)):
        return
    what, has = f'{name} {type(part).__name__}', f'{source} gives {len(widths)} maps, {list(widths)} wide'
    if index is None:  # a neck that reads all maps
        if list(expected) != list(widths):
            raise MixingError(f'{what} expects in_channels={list(expected)}, but {has}: set in_channels to these')
        return
    single = isinstance(index, int)
    indices = [index] if single else list(index)
    at = index if single else indices
    if any(not -len(widths) <= i < len(widths) for i in indices):
        raise MixingError(
            f'{what} reads in_index={at}, but {has}: choose in_index among 0 to {len(widths) - 1}, and in_channels '
            'with it'
        )
    given = [widths[i] for i in indices]
    if getattr(reader, 'input_transform', None) == 'resize_concat':  # in_channels is the sum then
        expected, found = f'a sum of {expected}', f'a sum of {sum(given)}'
    else:
        expected, found = (expected, given[0]) if single else (list(expected), given)
    if expected != found:
        mend = given[0] if single else given
        raise MixingError(
            f'{what} expects in_channels={expected} at in_index={at}, but {has}: set in_channels={mend}, or '
            'another in_index'
        )
