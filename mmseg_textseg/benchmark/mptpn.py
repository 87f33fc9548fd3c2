"""MPTPN beside the literal form of its equations, and UpAttention alone."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ..models import PPE, MSFFUpAttentionHead, TextFeatures, UpAttention
from .group import Group
from .literal_mptpn import LiteralMPTPN, LiteralUpAttention, literal_state
from .models import images, no_grad

# Of configs/_base_/models/mptpn.py; the sentence fills them.
TOKENS, TEXT_CHANNELS = 24, 768
# The paper's C for one image alone: its literal form keeps gigabytes for backward.
WIDTHS, LARGE = (16, 64), 64
LITERAL, OURS = 'as the equations read', 'ours'


class Visual(nn.Module):
    """Backbone and head, images and encoded words to logits (B, 1, H, W).

    Args:
        channels: C.
        size: side of the images.
    """

    def __init__(self, channels: int, size: int):
        super().__init__()
        self.backbone = PPE(channels, size, TEXT_CHANNELS, TOKENS)
        self.decode_head = MSFFUpAttentionHead(self.backbone.out_channels)

    def forward(self, x: Tensor, text: TextFeatures) -> Tensor:
        return self.decode_head(self.backbone(x, text))


def pair(channels: int, size: int) -> tuple[Visual, LiteralMPTPN]:
    """Ours in channels-last and the literal form, with the same weights."""
    ours = Visual(channels, size)
    literal = LiteralMPTPN(channels, size, TEXT_CHANNELS, TOKENS)
    literal.load_state_dict(literal_state(ours.state_dict()))
    return ours.to(memory_format=torch.channels_last), literal


def predict(model: nn.Module, *inputs) -> Tensor:
    """Output in evaluation, without autograd."""
    return no_grad(model.eval())(*inputs)


def step(model: nn.Module, *inputs) -> None:
    """Forward and backward in training, down to every weight and every input that asks for it."""
    model.train()(*inputs).square().mean().backward()
    for tensor in (*model.parameters(), *(x for x in inputs if isinstance(x, Tensor))):
        tensor.grad = None


JOBS: dict[str, tuple[str, Callable]] = {
    'forward': ('evaluation', predict),
    'step': ('forward and backward of a training step', step),
}


def groups(sizes: Sequence[int] = (224,), batches: Sequence[int] = (1, 4)) -> Iterator[Group]:
    """The whole model without its text encoder, then both UpAttentions; C = 16, and 64 with one image.

    Args:
        sizes: sides of the images, multiples of 16.
        batches: images in a batch.
    """
    for channels in WIDTHS:
        for size in sizes:
            ours, literal = pair(channels, size)
            for batch in batches:
                if channels >= LARGE and batch > 1:
                    continue
                x, tokens = images(size, batch), torch.randn(batch, TOKENS, TEXT_CHANNELS)
                text = TextFeatures.from_tokens(tokens, torch.ones(batch, TOKENS, dtype=torch.bool))
                calls = {LITERAL: (literal, x, tokens), OURS: (ours, x, text)}
                yield from _jobs(f'c{channels}', f'MPTPN, C = {channels}', size, batch, calls)
            del ours, literal
    for channels in WIDTHS:
        for size in sizes:
            for batch in batches:
                if channels >= LARGE and batch > 1:
                    continue
                for stride in (2, 1):
                    yield from _up_attention(3 * stride * channels, size // stride, batch)


def _up_attention(channels: int, side: int, batch: int) -> Iterator[Group]:
    """Of a skip with so many channels; the deeper map has twice as many."""
    ours, literal = UpAttention(2 * channels, channels), LiteralUpAttention(2 * channels, channels)
    literal.load_state_dict(literal_state(ours.state_dict()))
    deep, skip = torch.randn(batch, 2 * channels, side // 2, side // 2), torch.randn(batch, channels, side, side)
    calls = {LITERAL: (literal, deep, skip), OURS: (ours.to(memory_format=torch.channels_last), deep, skip)}
    for name, (model, *maps) in calls.items():
        layout = torch.channels_last if name == OURS else torch.contiguous_format
        calls[name] = model, *(x.contiguous(memory_format=layout).clone().requires_grad_() for x in maps)
    yield from _jobs(f'up-attention{channels}', f'UpAttention, skip of {channels} channels', side, batch, calls)


def _jobs(name: str, job: str, side: int, batch: int, calls: dict[str, tuple]) -> Iterator[Group]:
    for kind, (words, call) in JOBS.items():
        yield Group(
            f'mptpn/{kind}/{name}/{side}/{batch}',
            f'{job}, {words}',
            {key: partial(call, *arguments) for key, arguments in calls.items()},
            LITERAL,
            dict(pixels=side * side, batch=batch),
        )
