"""LViT's blocks, and all of them together, written again from the paper in plain torch, float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg_textseg.models import LViT, LViTHead
from mmseg_textseg.models.lvit import PLAM, DownViT, PLAMUpBlock, Reconstruct, UpViT

C, C_TEXT, T, HEADS, PATCH = 4, 6, 5, 2, 8
SIZE = (16, 24)  # 2 x 3 patches
VIT = dict(num_heads=HEADS, dropout=0.0)
BN = dict(type='BN', requires_grad=True)
SMALL = dict(
    base_channels=C, img_size=SIZE, text_channels=C_TEXT, num_text_tokens=T, patch_size=PATCH, num_heads=HEADS,
    dropout=0.0,
)  # fmt: skip
modes = pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
close = dict(rtol=1e-9, atol=1e-9)


def rand(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.fixture
def make(randomise):
    """Function (module, training) -> it in float64, weights drawn anew."""
    return lambda module, training=False: randomise(module).double().train(training)


# The equations again


def norm_relu(x, bn, training):
    """ReLU(BN(x)) over all but the second dimension."""
    return F.relu(F.batch_norm(x, bn.running_mean.clone(), bn.running_var.clone(), bn.weight, bn.bias, training))


def conv_2d(x, module, training):
    weight = module.conv.weight
    return norm_relu(F.conv2d(x, weight, padding=weight.shape[2] // 2), module.bn, training)


def ctbn(x, module, training):
    """Conv1d, BN and ReLU of (B, C_in, L)."""
    return norm_relu(F.conv1d(x, module.conv.weight, padding=1), module.bn, training)


def along_patches(tokens, module, training):
    return ctbn(tokens.mT, module, training).mT


def mhsa(x, attention):
    """softmax(Q K^T / sqrt(d)) V of each head, concatenated, projected."""
    q, k, v = F.linear(x, attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=2)
    q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in (q, k, v))
    out = torch.softmax(q @ k.mT / math.sqrt(q.shape[3]), 3) @ v
    return F.linear(out.transpose(1, 2).flatten(2), attention.out_proj.weight, attention.out_proj.bias)


def layer_norm(x, norm):
    return F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias)


def vit(x, layers):
    """X' = MHSA(LN(X)) + X; MLP(LN(X')) + X'."""
    (layer,) = layers
    first, second = (m for m in layer.ffn.modules() if isinstance(m, nn.Linear))
    x = mhsa(layer_norm(x, layer.norm1), layer.attn.attn) + x
    hidden = F.gelu(F.linear(layer_norm(x, layer.norm2), first.weight, first.bias))
    return F.linear(hidden, second.weight, second.bias) + x


def embed(x, patches, size):
    """E: a convolution of kernel and stride ``size``, row by row, plus positions."""
    grid = tuple(math.ceil(side / size) for side in x.shape[2:])
    x = F.pad(x, (0, grid[1] * size - x.shape[3], 0, grid[0] * size - x.shape[2]))
    projection = patches.embed.projection
    x = F.conv2d(x, projection.weight, projection.bias, stride=size)
    position = patches.position
    if position.shape[2:] != grid:
        position = F.interpolate(position, size=grid, mode='bicubic', align_corners=False)
    return (x + position).flatten(2).mT, grid


def attend(query, words, attention):
    """Cross-attention of (N, C) over the real words (M, C) of one sentence."""
    weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    q, k, v = (F.linear(x, w, b) for x, w, b in zip((query, words, words), weights, biases, strict=True))
    q, k, v = (part.unflatten(1, (HEADS, -1)).transpose(0, 1) for part in (q, k, v))
    out = (torch.softmax(q @ k.mT / math.sqrt(q.shape[2]), 2) @ v).transpose(0, 1).flatten(1)
    return F.linear(out, attention.out_proj.weight, attention.out_proj.bias)


def mixed(tokens, mixing, words, training):
    """Patches + ConvBN(text), tokens as channels; or the option, cross-attention. ``words`` without padding."""
    if hasattr(mixing, 'conv'):
        length = mixing.conv.conv.weight.shape[1]
        padded = torch.stack([F.pad(w, (0, 0, 0, length - len(w))) for w in words])
        return tokens + ctbn(padded, mixing.conv, training)
    return tokens + torch.stack(
        [
            attend(layer_norm(patches, mixing.norm), w, mixing.attention)
            for patches, w in zip(tokens, words, strict=True)
        ]
    )


def reconstruct(x, tokens, grid, module, size, training):
    """Reshape, up-sample, ConvBN, add, in the paper's order."""
    y = F.interpolate(tokens.mT.unflatten(2, grid), scale_factor=size)
    return conv_2d(y, module.conv, training)[:, :, : x.shape[2], : x.shape[3]] + x


def plam(skip, module):
    """GAP and GMP, their sum, concatenated, an MLP at each pixel, times the skip."""
    a = F.relu(F.conv2d(skip, module.conv_mean.conv.weight)).mean(1)
    m = F.relu(F.conv2d(skip, module.conv_max.conv.weight)).max(1).values
    first, _, second = module.mlp
    hidden = F.relu(F.linear(torch.stack([a, m, a + m], 3), first.weight, first.bias))
    return F.linear(hidden, second.weight, second.bias)[..., 0].unsqueeze(1) * skip


def up_cnn(deep, skip, block, training):
    up = F.interpolate(deep, scale_factor=2)[:, :, : skip.shape[2], : skip.shape[3]]
    x = conv_2d(torch.cat([plam(skip, block.gate), up], 1), block.conv1, training)
    return conv_2d(x, block.conv2, training)


def words_of(text_convs, text):
    """768 -> 8C -> 4C -> 2C -> C of each sentence alone, so that there is no padding."""
    out = []
    for tokens, mask in zip(text.tokens, text.mask, strict=True):
        x = tokens[mask].T[None]
        for conv in text_convs.convs:
            x = F.conv1d(x, conv.weight, conv.bias, padding=1)
        out.append(x[0].T)
    return out


def reference(model, head, x, text, training):
    maps = [conv_2d(x, model.stem, training)]
    for block in model.down_blocks:
        y = F.max_pool2d(maps[-1], 2, ceil_mode=True)
        maps.append(conv_2d(conv_2d(y, block[1], training), block[2], training))
    sizes, down = (PATCH, PATCH // 2, PATCH // 4, PATCH // 8), []
    for i, (level, size) in enumerate(zip(model.down_vits, sizes, strict=True)):
        tokens, grid = embed(maps[i], level.patches, size)
        if i == 0 and text is not None:
            tokens = mixed(tokens, level.mixing, words_of(model.text_convs, text), training)
        tokens = vit(tokens, level.layers)
        down.append(tokens if i == 0 else torch.cat([along_patches(tokens, level.narrow, training), down[-1]], 2))
    z4 = vit(down[3], model.up_vits[3].layers)
    z3 = vit(down[2], model.up_vits[2].layers) + along_patches(z4, model.up_vits[2].narrow, training)
    z2 = vit(down[1], model.up_vits[1].layers) + along_patches(z3, model.up_vits[1].narrow, training)
    z1 = vit(down[0], model.up_vits[0].layers) + along_patches(z2, model.up_vits[0].narrow, training)
    for i, (z, size) in enumerate(zip((z1, z2, z3, z4), sizes, strict=True)):
        maps[i] = reconstruct(maps[i], z, grid, model.reconstructs[i], size, training)
    y = maps[4]
    for block, skip in zip(head.up_blocks, maps[3::-1], strict=True):
        y = up_cnn(y, skip, block, training)
    return maps, F.conv2d(y, head.conv_seg.weight, head.conv_seg.bias)


# Block by block


@pytest.mark.parametrize('size', [(4, 6), (1, 1)], ids=str)
def test_plam(make, size):
    gate, skip = make(PLAM(C)), rand(2, C, *size)
    torch.testing.assert_close(gate(skip) * skip, plam(skip, gate), **close)
    assert gate(skip).shape == (2, 1, *size)


@modes
@pytest.mark.parametrize('size', [(4, 6), (3, 5)], ids=str)
def test_up_cnn(make, size, training):
    block, skip = make(PLAMUpBlock(5, C, 3, BN), training), rand(2, C, *size)
    deep = rand(2, 5, *(math.ceil(side / 2) for side in size))
    torch.testing.assert_close(block(deep, skip), up_cnn(deep, skip, block, training), **close)


@modes
@pytest.mark.parametrize('size', [(16, 24), (13, 9), (40, 8)], ids=str)
def test_down_vit_of_a_later_level(make, size, training):
    level = make(DownViT(2 * C, PATCH, (2, 3), first=False, **VIT), training)
    x = rand(2, 2 * C, *size)
    tokens, grid = embed(x, level.patches, PATCH)
    former = rand(2, grid[0] * grid[1], C)
    expected = torch.cat([along_patches(vit(tokens, level.layers), level.narrow, training), former], 2)
    ours, own_grid = level(x, former)
    torch.testing.assert_close(ours, expected, **close)
    assert own_grid == grid


@modes
@pytest.mark.parametrize('mixing', ['conv', 'attention'])
def test_down_vit_with_text(make, make_text, mixing, training):
    model = make(LViT(**SMALL, token_mixing=mixing), training)
    level, x, text = model.down_vits[0], rand(2, C, *SIZE), make_text((4, 2), C_TEXT, dtype=torch.float64)
    tokens, _ = embed(x, level.patches, PATCH)
    expected = vit(mixed(tokens, level.mixing, words_of(model.text_convs, text), training), level.layers)
    torch.testing.assert_close(level(x, words=model._words(text), mask=text.mask)[0], expected, **close)
    assert (expected - vit(tokens, level.layers)).abs().mean() > 1e-2  # the text is in it


@modes
def test_up_vit(make, training):
    level, last = make(UpViT(C, last=False, **VIT), training), make(UpViT(C, last=True, **VIT), training)
    tokens, deeper = rand(2, 6, C), rand(2, 6, 2 * C)
    expected = vit(tokens, level.layers) + along_patches(deeper, level.narrow, training)
    torch.testing.assert_close(level(tokens, deeper), expected, **close)
    torch.testing.assert_close(last(tokens), vit(tokens, last.layers), **close)


@modes
@pytest.mark.parametrize('size', [(16, 24), (13, 17)], ids=str)
def test_reconstruct(make, size, training):
    module, x, tokens = make(Reconstruct(C, PATCH, BN), training), rand(2, C, *size), rand(2, 6, C)
    torch.testing.assert_close(
        module(x, tokens, (2, 3)), reconstruct(x, tokens, (2, 3), module, PATCH, training), **close
    )


@modes
@pytest.mark.parametrize('mixing', ['conv', 'attention', 'text-free'])
def test_whole(make, make_text, mixing, training):
    """Maps, logits, and the gradients of every weight."""
    free = mixing == 'text-free'
    options = dict(text_channels=None) if free else dict(token_mixing=mixing)
    model = make(LViT(**{**SMALL, **options}), training)
    head = make(LViTHead(in_channels=model.out_channels), training)
    x, text = rand(2, 3, *SIZE), None if free else make_text((4, 2), C_TEXT, dtype=torch.float64)
    maps = model(x) if free else model(x, text)
    ours = (*maps, head(maps))
    theirs = reference(model, head, x, text, training)
    theirs = (*theirs[0], theirs[1])
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **close)
    weights = [*model.parameters(), *head.parameters()]
    grads = [torch.autograd.grad(y[-1].square().sum() + y[0].sum(), weights) for y in (ours, theirs)]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize('size', [(13, 9), (32, 16), (1, 1)], ids=str)
def test_whole_of_another_size(make, make_text, size):
    """Positions are resized, odd sizes keep their last row and column."""
    model = make(LViT(**SMALL, token_mixing='attention'))
    head = make(LViTHead(in_channels=model.out_channels))
    x, text = rand(2, 3, *size), make_text((4, 2), C_TEXT, dtype=torch.float64)
    torch.testing.assert_close(head(model(x, text)), reference(model, head, x, text, False)[1], **close)
