"""PPE's blocks against eq. 1-7, written again from the paper: one image, one head, one patch at a time."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmseg.models.backbones.vit import TransformerEncoderLayer
from torch import nn

from mmseg_textseg.models import PPE
from mmseg_textseg.models.backbones.u_transformer import TransformerLayer

C, C_TEXT, T, HEADS = 4, 6, 5, 2
SIZE = (16, 24)  # 2 x 3 patches
SMALL = dict(
    base_channels=C, img_size=SIZE, text_channels=C_TEXT, num_text_tokens=T, patch_size=8, num_heads=HEADS, dropout=0.0
)
modes = pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
mixings = pytest.mark.parametrize('mixing', ['conv', 'attention'])
close = dict(rtol=1e-9, atol=1e-9)


@pytest.fixture
def make(randomise):
    """Function (**options) -> PPE in float64, weights drawn anew."""
    return lambda training=False, **options: randomise(PPE(**{**SMALL, **options})).double().train(training)


@pytest.fixture
def text(make_text):
    return make_text((4, 2), C_TEXT, dtype=torch.float64, requires_grad=True)


def image(batch=2, size=SIZE, channels=3):
    return torch.randn(batch, channels, *size, dtype=torch.float64, requires_grad=True)


def assert_same(ours, theirs, leaves):
    """Values, and gradients with respect to ``leaves`` of a random sum of all outputs."""
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **close)
    seeds = [torch.randn_like(y) for y in ours]
    total = [sum((y * s).sum() for y, s in zip(outputs, seeds, strict=True)) for outputs in (ours, theirs)]
    both = [torch.autograd.grad(t, leaves, allow_unused=True) for t in total]
    for a, b in zip(*both, strict=True):
        if a is None or b is None:
            assert a is b
        else:
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


# The equations again


def batch_norm(x, norm, training):
    """Over all but the second dimension."""
    dims = [0, *range(2, x.dim())]
    mean, var = norm.running_mean, norm.running_var
    if training:
        mean = x.mean(dims)
        var = (x - mean.view(1, -1, *[1] * (x.dim() - 2))).square().mean(dims)
    mean, var, weight, bias = (v.view(1, -1, *[1] * (x.dim() - 2)) for v in (mean, var, norm.weight, norm.bias))
    return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias


def relu(x):
    return torch.where(x > 0, x, torch.zeros_like(x))


def conv_bn_2d(x, module, training):
    """ReLU(BN(Conv2d())), the kernel's side from its weight."""
    assert module.conv.bias is None
    weight = module.conv.weight
    return relu(batch_norm(F.conv2d(x, weight, padding=weight.shape[2] // 2), module.bn, training))


def conv1d(x, weight, bias=None):
    """Kernel 3, zeros beyond both ends: (C_in, L) -> (C_out, L)."""
    assert weight.shape[2] == 3
    before, after = torch.zeros_like(x[:, :1]), torch.zeros_like(x[:, :1])
    x = torch.cat([before, x, after], 1)
    y = sum(weight[:, :, k] @ x[:, k : x.shape[1] - 2 + k] for k in range(3))
    return y if bias is None else y + bias[:, None]


def conv_bn_1d(x, module, training):
    """ReLU(BN(Conv1d())) of (B, C_in, L)."""
    assert module.conv.bias is None
    return relu(batch_norm(torch.stack([conv1d(one, module.conv.weight) for one in x]), module.bn, training))


def image_branch(ppe, x, pool, training):
    """Eq. 1; the release pools first and has two ConvBN then."""
    maps = [conv_bn_2d(x, ppe.stem, training)]
    for block in ppe.down_blocks:
        y = maps[-1]
        if pool == 'after':
            y = F.max_pool2d(conv_bn_2d(y, block[0], training), 2, ceil_mode=True)
        else:
            y = conv_bn_2d(conv_bn_2d(F.max_pool2d(y, 2, ceil_mode=True), block[1], training), block[2], training)
        maps.append(y)
    return maps


def words_of(ppe, text):
    """Eq. 2 for each sentence alone, so that there is no padding: a list of (T_b, C)."""
    out = []
    for tokens, mask in zip(text.tokens, text.mask, strict=True):
        x = tokens[mask].T
        for conv in ppe.text_convs.convs:
            x = conv1d(x, conv.weight, conv.bias) if x.shape[1] else x.new_zeros(len(conv.weight), 0)
        out.append(x.T)
    return out


def layer_norm(x, norm):
    mean = x.mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt((x - mean).square().mean(-1, keepdim=True) + 1e-5) * norm.weight + norm.bias


def attend(query, key, attention, heads):
    """Multi-head attention of (N, C) over (M, C): the heads one by one, concatenated, projected."""
    channels = query.shape[1]
    wide = channels // heads
    wq, wk, wv = attention.in_proj_weight.split(channels)
    bq, bk, bv = attention.in_proj_bias.split(channels)
    out = []
    for h in range(heads):
        own = slice(h * wide, (h + 1) * wide)
        q, k, v = query @ wq[own].T + bq[own], key @ wk[own].T + bk[own], key @ wv[own].T + bv[own]
        scores = torch.exp(q @ k.T / math.sqrt(wide))
        out.append(scores / scores.sum(1, keepdim=True) @ v)
    return torch.cat(out, 1) @ attention.out_proj.weight.T + attention.out_proj.bias


def transformer(y, layers, heads=HEADS):
    """Y' = MSA(LN(Y)) + Y, Y = MLP(LN(Y')) + Y'."""
    for layer in layers:
        norm1, norm2 = (m for m in layer.children() if isinstance(m, nn.LayerNorm))
        normed = layer_norm(y, norm1)
        y = torch.stack([attend(one, one, layer.attn.attn, heads) for one in normed]) + y
        first, second = (m for m in layer.ffn.modules() if isinstance(m, nn.Linear))
        hidden = layer_norm(y, norm2) @ first.weight.T + first.bias
        hidden = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2  # GeLU
        y = hidden @ second.weight.T + second.bias + y
    return y


def patch_embedding(x, module, size):
    """Each patch flattened and projected, plus its position: (B, C, H, W) -> (B, N, C), (h, w)."""
    rows, columns = math.ceil(x.shape[2] / size), math.ceil(x.shape[3] / size)
    x = F.pad(x, (0, columns * size - x.shape[3], 0, rows * size - x.shape[2]))
    position = module.position
    if position.shape[2:] != (rows, columns):
        position = F.interpolate(position, size=(rows, columns), mode='bicubic', align_corners=False)
    projection = module.embed.projection
    out = []
    for r in range(rows):
        for c in range(columns):
            patch = x[:, :, r * size : (r + 1) * size, c * size : (c + 1) * size].flatten(1)
            out.append(patch @ projection.weight.flatten(1).T + projection.bias + position[0, :, r, c])
    return torch.stack(out, 1), (rows, columns)


def mix(ppe, patches, words, training):
    """The third line of eq. 3, or cross-attention in its place."""
    if hasattr(ppe.mixing, 'conv'):
        tokens = ppe.mixing.conv.conv.weight.shape[1]
        padded = torch.stack([torch.cat([w, w.new_zeros(tokens - len(w), w.shape[1])]) for w in words])
        return patches + conv_bn_1d(padded, ppe.mixing.conv, training)
    pairs = zip(layer_norm(patches, ppe.mixing.norm), words, strict=True)
    add = [attend(p, w, ppe.mixing.attention, HEADS) if len(w) else torch.zeros_like(p) for p, w in pairs]
    return patches + torch.stack(add)


def narrow(tokens, module, training):
    """ConvBN of eq. 4 and 6 along the patches."""
    return conv_bn_1d(tokens.transpose(1, 2), module, training).transpose(1, 2)


def down(ppe, p1, p2, p3, training):
    """Eq. 3 (its transformer) and eq. 4."""
    y1 = transformer(p1, ppe.down_vits[0])
    y2 = torch.cat([narrow(transformer(p2, ppe.down_vits[1]), ppe.down_convs[0], training), y1], 2)
    y3 = torch.cat([narrow(transformer(p3, ppe.down_vits[2]), ppe.down_convs[1], training), y2], 2)
    return y1, y2, y3


def up(ppe, y1, y2, y3, training):
    """Eq. 5, then eq. 6 for i = 2 and i = 1."""
    y3 = transformer(y3, ppe.up_vits[2])
    y2 = transformer(y2, ppe.up_vits[1]) + narrow(y3, ppe.up_convs[1], training)
    y1 = transformer(y1, ppe.up_vits[0]) + narrow(y2, ppe.up_convs[0], training)
    return y1, y2, y3


def fuse(x, y, grid, module, size, training):
    """Eq. 7 in the printed order: reshape, up-sample, ConvBN, add."""
    pixels = torch.stack([y[:, r * grid[1] : (r + 1) * grid[1]] for r in range(grid[0])], 1)  # (B, h, w, C)
    large = pixels.repeat_interleave(size, 1).repeat_interleave(size, 2).permute(0, 3, 1, 2)
    return conv_bn_2d(large, module, training)[:, :, : x.shape[2], : x.shape[3]] + x


def reference(ppe, x, text, training, pool='after', sizes=(8, 4, 2)):
    maps = image_branch(ppe, x, pool, training)
    embedded = [patch_embedding(*item) for item in zip(maps, ppe.patches, sizes, strict=True)]
    tokens, grid = [t for t, _ in embedded], embedded[0][1]
    if text is not None:
        tokens[0] = mix(ppe, tokens[0], words_of(ppe, text), training)
    if ppe.down_vits is not None:
        tokens = down(ppe, *tokens, training)
    if ppe.up_vits is not None:
        tokens = up(ppe, *tokens, training)
    parts = zip(maps, tokens, ppe.fusion, sizes, strict=True)
    return [fuse(m, t, grid, conv, size, training) for m, t, conv, size in parts]


# Block by block


@modes
@pytest.mark.parametrize('size', [SIZE, (13, 9)], ids=str)
@pytest.mark.parametrize('pool', ['after', 'before'])
def test_eq_1_image_branch(make, pool, size, training):
    ppe, x = make(training, pool=pool, token_mixing='attention'), image(size=size)
    theirs = image_branch(ppe, x, pool, training)
    ours = [ppe.stem(x)]
    for block in ppe.down_blocks:
        ours.append(block(ours[-1]))
    assert [y.shape[1] for y in ours] == [C, 2 * C, 4 * C]
    assert_same(ours, theirs, [x, *ppe.stem.parameters(), *ppe.down_blocks.parameters()])


@pytest.mark.parametrize('lengths', [(4, 2), (1, 5), (3, 0)], ids=str)
def test_eq_2_text_convolutions_see_no_padding(make, make_text, lengths):
    ppe, text = make(), make_text(lengths, C_TEXT, pad_to=7, dtype=torch.float64, requires_grad=True)
    assert [conv.out_channels for conv in ppe.text_convs.convs] == [8 * C, 4 * C, 2 * C, C]
    ours = ppe.text_convs(text)
    theirs = torch.stack([F.pad(w, (0, 0, 0, 7 - len(w))) for w in words_of(ppe, text)])
    assert_same([ours], [theirs], [text.tokens, *ppe.text_convs.parameters()])


@modes
@mixings
@pytest.mark.parametrize('lengths', [(4, 2), (3, 0)], ids=str)
def test_eq_3_text_meets_patches(make, make_text, mixing, lengths, training):
    text = make_text(lengths, C_TEXT, dtype=torch.float64, requires_grad=True)
    ppe, patches = make(training, token_mixing=mixing), torch.randn(2, 6, C).double().requires_grad_()
    theirs = mix(ppe, patches, words_of(ppe, text), training)
    ours = ppe.mixing(patches, ppe._words(text), text.mask)
    assert (ours - patches).abs().max() > 0.1
    assert_same([ours], [theirs], [patches, text.tokens, *ppe.mixing.parameters(), *ppe.text_convs.parameters()])


@pytest.mark.parametrize(('size', 'grid'), [((16, 24), (2, 3)), ((13, 33), (2, 5)), ((7, 8), (1, 1))], ids=str)
def test_patch_embedding(make, size, grid):
    """Of the first scale, positions resized where the grid is another; the second's patches are half as wide."""
    ppe = make()
    for module, channels, factor in zip(ppe.patches, (C, 2 * C, 4 * C), (1, 2, 4), strict=True):
        x = image(size=[math.ceil(s / factor) for s in size], channels=channels)
        (ours, shape), (theirs, expected) = module(x), patch_embedding(x, module, 8 // factor)
        assert shape == expected == grid
        assert_same([ours], [theirs], [x, *module.parameters()])


@pytest.mark.parametrize('depth', [1, 2])
@pytest.mark.parametrize('ratio', [4, 2])
def test_eq_3_and_5_transformer(make, depth, ratio):
    ppe, y = make(depth=depth, mlp_ratio=ratio), torch.randn(2, 6, 2 * C).double().requires_grad_()
    vit = ppe.down_vits[1]
    assert len(vit) == depth
    assert vit[0].ffn.layers[0][0].out_features == ratio * 2 * C
    assert_same([vit(y)], [transformer(y, vit)], [y, *vit.parameters()])


@pytest.mark.parametrize('rates', [dict(drop_rate=0.5), dict(attn_drop_rate=0.5)], ids=str)
@modes
def test_transformer_drops_as_mmsegs(randomise, rates, training):
    """The same numbers drawn, by the attention too; none in evaluation."""
    layer = randomise(TransformerLayer(8, HEADS, 16, **rates)).double().train(training)
    y, outputs = torch.randn(1, 6, 8).double(), []  # of two images numbers come in another order
    for forward in (TransformerLayer.forward, TransformerEncoderLayer.forward):
        torch.manual_seed(1)
        outputs.append(forward(layer, y))
    torch.testing.assert_close(*outputs, **close)
    again = layer(y)
    assert torch.equal(again, outputs[0]) is not training


@modes
def test_eq_4_down_vit(make, training):
    ppe = make(training)
    patches = [torch.randn(2, 6, c).double().requires_grad_() for c in (C, 2 * C, 4 * C)]
    theirs = down(ppe, *patches, training)
    assert_same(ppe._down(patches), theirs, [*patches, *ppe.down_vits.parameters(), *ppe.down_convs.parameters()])


@modes
def test_eq_5_and_6_up_vit(make, training):
    ppe = make(training)
    tokens = [torch.randn(2, 6, c).double().requires_grad_() for c in (C, 2 * C, 4 * C)]
    theirs = up(ppe, *tokens, training)
    assert_same(ppe._up(tokens), theirs, [*tokens, *ppe.up_vits.parameters(), *ppe.up_convs.parameters()])


@modes
@pytest.mark.parametrize('size', [SIZE, (13, 19)], ids=['whole', 'cut'])
def test_eq_7_fusion_in_the_printed_order(make, size, training):
    """Ours convolves before it up-samples: the same but for the unbiased variance that batch norm keeps."""
    ppe, x = make(training), image(channels=C, size=size)
    y = torch.randn(2, 6, C).double().requires_grad_()
    conv = ppe.fusion[0]
    before = {k: v.clone() for k, v in conv.bn.named_buffers()}
    theirs = fuse(x, y, (2, 3), conv, 8, training)
    assert_same([ppe._fuse(x, y, (2, 3), conv, 8)], [theirs], [x, y, *conv.parameters()])
    if training:
        pixels = F.conv2d(y.transpose(1, 2).reshape(2, C, 2, 3), conv.conv.weight).transpose(0, 1).flatten(1)
        new = 0.9 * before['running_var'] + 0.1 * pixels.var(1, unbiased=True)
        torch.testing.assert_close(conv.bn.running_var, new, **close)
        printed = 0.9 * before['running_var'] + 0.1 * pixels.repeat(1, 64).var(1, unbiased=True)
        n = pixels.shape[1]
        ratio = (n / (n - 1)) / (64 * n / (64 * n - 1))
        torch.testing.assert_close(new - 0.9 * before['running_var'], ratio * (printed - 0.9 * before['running_var']))
        torch.testing.assert_close(conv.bn.running_mean, 0.9 * before['running_mean'] + 0.1 * pixels.mean(1), **close)


# The whole


@modes
@mixings
@pytest.mark.parametrize('pool', ['after', 'before'])
def test_whole_forward(make, text, pool, mixing, training):
    ppe, x = make(training, pool=pool, token_mixing=mixing), image()
    theirs = reference(ppe, x, text, training, pool)
    assert_same(ppe(x, text), theirs, [x, text.tokens, *ppe.parameters()])


@pytest.mark.parametrize('ablation', [dict(down_vit=False), dict(up_vit=False), dict(depth=2)], ids=str)
@mixings
def test_whole_forward_of_ablations(make, text, mixing, ablation):
    ppe, x = make(token_mixing=mixing, **ablation), image()
    assert_same(ppe(x, text), reference(ppe, x, text, False), [x, text.tokens, *ppe.parameters()])


# Batch norm over a last map of 1 x 1 pixels leaves gradients to rounding.
@pytest.mark.parametrize(
    ('size', 'training'), [((16, 33), False), ((16, 33), True), ((13, 9), True), ((3, 2), False)], ids=str
)
def test_whole_forward_at_other_sizes(make, text, size, training):
    """Text by attention; and without any text, for which both mixings are one."""
    x = image(size=size)
    for ppe, words in ((make(training, token_mixing='attention'), text), (make(training, text_channels=None), None)):
        theirs = reference(ppe, x, words, training)
        assert_same(ppe(x, words), theirs, [x, *ppe.parameters()])
