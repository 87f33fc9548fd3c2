"""Which words each pixel attends to, recorded from a model as it runs. B batch, h w size of a stage's map, T tokens."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from mmengine.dataset import pseudo_collate
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from ..models.backbones.ppe import PPE
from ..models.backbones.svla import LanguageBranch
from ..models.backbones.svla_encoder import SVLAEncoder
from ..models.backbones.u_transformer import AttentionMixing


class StageAttention(NamedTuple):
    """Attention to words in one stage of an encoder.

    Attributes:
        name: of the stage.
        weights: (B, h, w, T), the mean over the stage's blocks (and heads); sums to 1 over the tokens of a sentence,
            zero on padding.
        features: (B, h, w), length of the vectors of the stage's map (LSMS, Fig. 6: P_1 .. P_4).
    """

    name: str
    weights: Tensor
    features: Tensor


class Pass(NamedTuple):
    """One forward pass of an encoder: height and width of its images, padding included, and its stages."""

    size: tuple[int, int]
    stages: list[StageAttention]


@contextmanager
def record_attention(model: nn.Module) -> Iterator[list[Pass]]:
    """Record what every forward pass within the block attends to.

    Weights are worked out once more beside each pass, from the same inputs: results do not change, and outside of the
    block nothing is left on the model. With slide inference every window is a pass.

    Args:
        model: holds an :class:`SVLAEncoder` with text, or a :class:`PPE` with ``token_mixing='attention'``.

    Yields:
        A list that grows by one :class:`Pass` a forward pass.

    Raises:
        ValueError: nothing in the model attends to words.
    """
    passes: list[Pass] = []
    handles = []
    try:
        for module in model.modules():
            if isinstance(module, SVLAEncoder) and module.uses_text:
                handles += _watch_svla(module, passes)
            elif isinstance(module, PPE) and module.uses_text and isinstance(module.mixing, AttentionMixing):
                handles += _watch_ppe(module, passes)
        if not handles:
            raise ValueError(_nothing_to_show(model))
        yield passes
    finally:
        for handle in handles:
            handle.remove()


def _watch_svla(encoder: SVLAEncoder, passes: list[Pass]) -> list:
    numbers = [i + 1 for i in encoder.out_indices]
    stages = [getattr(encoder, f'block{i}') for i in numbers]
    weights: list[list[Tensor]] = [[] for _ in stages]

    def watch(kept: list[Tensor]) -> Callable:
        @torch.no_grad()
        def look(branch: LanguageBranch, inputs: tuple, _: Tensor) -> None:
            pre, text = inputs
            kept.append(rearrange(branch.attention(pre, text), 'b (h w) t -> b h w t', h=pre.shape[2]))

        return look

    @torch.no_grad()
    def close(_: nn.Module, inputs: tuple, maps: Sequence[Tensor]) -> None:
        recorded = [
            StageAttention(f'stage {i}', torch.stack(kept).mean(0), m.norm(dim=1))
            for i, kept, m in zip(numbers, weights, maps, strict=True)
        ]
        passes.append(Pass(tuple(inputs[0].shape[2:]), recorded))
        for kept in weights:
            kept.clear()

    branches = [
        branch.register_forward_hook(watch(kept))
        for blocks, kept in zip(stages, weights, strict=True)
        for branch in blocks.modules()
        if isinstance(branch, LanguageBranch)
    ]
    return [*branches, encoder.register_forward_hook(close)]


def _watch_ppe(encoder: PPE, passes: list[Pass]) -> list:
    weights: list[Tensor] = []

    @torch.no_grad()
    def look(mixing: AttentionMixing, inputs: tuple, _: Tensor) -> None:
        weights.append(mixing.weights(*inputs))

    @torch.no_grad()
    def close(_: nn.Module, inputs: tuple, maps: Sequence[Tensor]) -> None:
        side = encoder.patch_sizes[0]
        height, width = (-(-length // side) for length in inputs[0].shape[2:])  # patches that stand over are padded
        grid = rearrange(weights.pop(), 'b (h w) t -> b h w t', h=height)
        norms = F.pad(maps[0].norm(dim=1), (0, width * side - maps[0].shape[3], 0, height * side - maps[0].shape[2]))
        passes.append(Pass((height * side, width * side), [StageAttention('patches', grid, norms)]))

    return [encoder.mixing.register_forward_hook(look), encoder.register_forward_hook(close)]


def _nothing_to_show(model: nn.Module) -> str:
    attends = "an SVLAEncoder with text, or a PPE(token_mixing='attention')"
    if getattr(model, 'text_encoder', None) is None:
        return f'this model sees no text, so no word has attention to show; what can be shown: {attends}'
    if any(isinstance(module, PPE) for module in model.modules()):
        return (
            "PPE(token_mixing='conv') adds words to patches by a convolution (MPTPN eq. 3), not by attention; "
            "model.backbone.token_mixing='attention', which needs a training of its own, attends to words"
        )
    return f'no part of this model attends to words; what can be shown: {attends}'


def attend(model: nn.Module, packed: dict) -> tuple[Pass, SegDataSample]:
    """Predict one sample and record the attention.

    Args:
        model: a segmentor in evaluation mode, with ``test_cfg.mode='whole'``.
        packed: as the test pipeline gives it.

    Returns:
        The pass, its stages for a batch of one, and the prediction.

    Raises:
        ValueError: nothing attends to words, or the model looks at windows one by one.
    """
    with torch.no_grad(), record_attention(model) as passes:
        result = model.test_step(pseudo_collate([packed]))[0]
    if len(passes) != 1:
        raise ValueError(
            f'the model looked at {len(passes)} windows; set model.test_cfg.mode=whole to see the whole image at once'
        )
    return passes[0], result
