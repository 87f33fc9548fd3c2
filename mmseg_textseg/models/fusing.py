"""Segmentors for inference alone: what is linear in evaluation is folded into the convolution beside it."""

import copy
from collections import Counter

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from .backbones.svla import SVLABlock
from .decode_heads import FullScaleHead
from .layers.nmf import NMFHamburger
from .layers.up_attention import UpAttention
from .mixing import SIDE, untouched
from .text_features import TextFeatures

# By exact type: a subclass may do something to its weight, as ConvWS2d does, which undoes what is folded into it.
CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
# ConvModules whose owner adds up weight, bias and norm itself, without calling the convolution.
READ_BY_HAND = ((FullScaleHead, 'squeeze'), (NMFHamburger, 'ham_out'), (UpAttention, 'conv1'))


class FusingError(RuntimeError):
    """A model whose outputs would change; it is used as it is."""


def fuse(model: nn.Module, size: tuple[int, int] | None = None) -> nn.Module:
    """A copy for inference with fewer passes over its maps, and the same outputs up to rounding.

    Folded into the weights of convolutions are

    - a batch norm that takes what one convolution makes, in any part, also in MMSegmentation's. Which they are is seen
      in a trial run, not guessed from the order of the modules as ``mmcv.cnn.fuse_conv_bn`` does, which is wrong for
      an activation or a concatenation between them;
    - both norms and layer scales of an :class:`SVLABlock` (:class:`FusedSVLABlock`).

    Group, layer and instance norms depend on the map and stay, so do the batch norms of other places (behind a sum,
    before a convolution with padding). The outputs of the trial run before and after are compared.

    The copy refuses to train and to load weights: fold after loading, and train, and save, the model it was made of.

    Args:
        model: an ``EncoderDecoder`` of MMSegmentation or a ``TextEncoderDecoder``, with its weights; left as it is.
        size: height and width of the image of the trial run; 64 x 64 by default, or the only size a backbone takes.

    Raises:
        TypeError: no segmentor, e.g. one in a wrapper (``model.module`` is meant).
        FusingError: the outputs differ.
    """
    if not hasattr(model, 'encode_decode'):
        raise TypeError(
            f'fuse takes a segmentor (EncoderDecoder, TextEncoderDecoder), got {type(model).__name__}; '
            'of a wrapper give what it wraps, model.module'
        )
    if isinstance(model, _Fused):
        return model
    fused = copy.deepcopy(model).eval().requires_grad_(False)
    inputs = _example(fused, size)
    # The trial run must see the blocks' own convolutions, so blocks come last.
    pairs, expected = _pairs(fused, inputs)
    for conv, norm in pairs:
        _fold_norm(fused, conv, norm)
    for name, module in list(fused.named_modules()):
        if type(module) is SVLABlock and _foldable(module.norm1) and _foldable(module.norm2):
            _replace(fused, name, FusedSVLABlock(module))
        for kind, part in READ_BY_HAND:
            if isinstance(module, kind) and _foldable(getattr(getattr(module, part), 'norm', None)):
                _fold_norm(fused, getattr(module, part).conv, getattr(module, part).norm)
    found = _run(fused, inputs)
    allowed = torch.finfo(expected.dtype).eps ** 0.5 * expected.abs().max()
    if not (found - expected).abs().max() <= allowed:
        raise FusingError(
            f'outputs would change by up to {(found - expected).abs().max():.3g} (allowed: {allowed:.3g}): a part of '
            f'this {type(model).__name__} uses a convolution or a norm in a way that cannot be seen; use it unfused'
        )
    cls = type(fused)
    fused.__class__ = type(f'Fused{cls.__name__}', (_Fused, cls), {})
    return fused


class FusedSVLABlock(nn.Module):
    """An :class:`SVLABlock` in evaluation whose batch norms and layer scales are in its 1x1 convolutions.

    With a batch norm as y = a x + m, channel by channel, and layer scales s_1, s_2: in ``'pre'``
    x + s_1 (proj_2(...) + y) = proj_2'(...) + (1 + s_1 a) x, and proj_1, fc1 take x instead of y; in ``'post'``
    BN(V + conv3(...) V) = conv3'(...) V + m and BN(F' + fc2(...)) = fc2'(...) + a F'.

    Args:
        block: in evaluation, its norms batch norms. Its convolutions are changed and become this block's.
    """

    def __init__(self, block: SVLABlock):
        super().__init__()
        self.norm_position = block.norm_position
        self.attn, self.mlp = block.attn, block.mlp
        a, m = _affine(block.norm1)
        a2, m2 = _affine(block.norm2)
        if self.norm_position == 'pre':
            scale = block.layer_scale_1.detach()
            _fold_input(self.attn.proj_1, a, m)
            _fold_output(self.attn.proj_2, scale, scale * m)
            _fold_input(self.mlp.fc1, a2, m2)
            _fold_output(self.mlp.fc2, block.layer_scale_2.detach(), torch.zeros_like(m))
            shortcut, shift = 1 + scale * a, None
        else:
            _fold_output(self.attn['spatial_gating_unit'].conv3, a, a)  # V is added by a bias of 1
            _fold_output(self.mlp.fc2, a2, m2)
            shortcut, shift = a2, m[:, None, None]
        self.register_buffer('shortcut', shortcut[:, None, None])
        self.register_buffer('shift', shift)
        self.eval()

    def forward(self, x: Tensor, *text) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W); ``text`` as the block takes it."""
        if self.norm_position == 'post':
            x = self.attn['spatial_gating_unit'](x, *text) + self.shift
            return torch.addcmul(self.mlp(x), x, self.shortcut)
        attended = self.attn.activation(self.attn.proj_1(x))
        attended = self.attn.proj_2(self.attn.spatial_gating_unit(attended, *text))
        x = torch.addcmul(attended, x, self.shortcut)
        return x + self.mlp(x)


class _Fused:
    """Before the class of a fused model."""

    def train(self, mode: bool = True) -> nn.Module:
        if mode:
            raise RuntimeError('a fused model has no batch norms left to train: train the model that fuse() was given')
        return super().train(False)

    def _load_from_state_dict(self, *_) -> None:
        raise RuntimeError('a fused model takes no weights: load them into the model that fuse() is given')


def _example(model: nn.Module, size: tuple[int, int] | None) -> tuple[Tensor, TextFeatures | None]:
    """An image and, for a model with text, a sentence, the same at every call."""
    if size is None:
        tied = getattr(model.backbone, 'num_text_tokens', None) is not None
        size = model.backbone.img_size if tied else (SIDE, SIDE)
    like = next(model.parameters())
    draw = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, *size, generator=draw).to(like)
    encoder = getattr(model, 'text_encoder', None)
    if encoder is None:
        return image, None
    tokens = torch.randn(1, 2, encoder.out_channels, generator=draw).to(like)
    return image, TextFeatures.from_tokens(tokens, torch.ones(1, 2, dtype=torch.bool, device=like.device))


def _run(model: nn.Module, inputs: tuple[Tensor, TextFeatures | None]) -> Tensor:
    """Logits; the same random numbers at every call, which stock NMF2D draws."""
    image, text = inputs
    with untouched(model):
        return model.encode_decode(image, [dict(img_shape=tuple(image.shape[2:]), text_features=text)])


def _pairs(
    model: nn.Module, inputs: tuple[Tensor, TextFeatures | None]
) -> tuple[list[tuple[nn.Module, _BatchNorm]], Tensor]:
    """Convolutions and the batch norms that take what these make, each called once; and the logits of the run."""
    calls, made, pairs, hooks = Counter(), {}, [], []

    def after(conv: nn.Module, _, out: Tensor) -> None:
        calls[conv] += 1
        made[id(out)] = (conv, out, out._version)  # kept, so that no other tensor gets its id

    def before(norm: nn.Module, args: tuple[Tensor, ...]) -> None:
        calls[norm] += 1
        conv, out, version = made.get(id(args[0]), (None, None, None))
        if conv is not None and out._version == version:  # no activation in place between them
            pairs.append((conv, norm))

    for module in model.modules():
        if type(module) in CONVS:
            hooks.append(module.register_forward_hook(after))
        elif _foldable(module):
            hooks.append(module.register_forward_pre_hook(before))
    try:
        logits = _run(model, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return [(conv, norm) for conv, norm in pairs if calls[conv] == calls[norm] == 1], logits


def _foldable(norm: nn.Module | None) -> bool:
    """A batch norm that uses running statistics, SyncBN too."""
    return isinstance(norm, _BatchNorm) and norm.running_var is not None and not norm.training


def _fold_norm(model: nn.Module, conv: nn.Module, norm: _BatchNorm) -> None:
    """Batch norm behind a convolution."""
    turned = conv.transposed
    if turned and conv.groups > 1:  # channels out are not one dimension of the weight then
        return
    statistics = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
    conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics, transpose=turned)
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if module is norm:
            _replace(model, name, nn.Identity())


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition('.')
    setattr(model.get_submodule(parent), child, module)


def _affine(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """y = a x + m of a batch norm: a, m (C,)."""
    a = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        a = a * norm.weight.detach()
    m = -norm.running_mean * a
    return a, m if norm.bias is None else m + norm.bias.detach()


def _fold_input(conv: nn.Conv2d, scale: Tensor, shift: Tensor) -> None:
    """conv(scale x + shift) of a 1x1 convolution."""
    weight = conv.weight.detach()
    _set(conv, weight * scale[:, None, None], _bias(conv) + weight.flatten(1) @ shift)


def _fold_output(conv: nn.Conv2d, scale: Tensor, shift: Tensor) -> None:
    """scale conv(x) + shift."""
    _set(conv, conv.weight.detach() * scale[:, None, None, None], _bias(conv) * scale + shift)


def _bias(conv: nn.Conv2d) -> Tensor:
    return conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()


def _set(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    conv.weight, conv.bias = (nn.Parameter(value, requires_grad=False) for value in (weight, bias))
