"""UpAttention against 3.3.2 and Fig. 5, written again: the gate pixel by pixel, the printed order of the rest."""

import pytest
import torch
import torch.nn.functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from mmseg_textseg.models import UpAttention
from mmseg_textseg.models.layers import up_conv
from mmseg_textseg.models.layers.pointwise import pointwise
from mmseg_textseg.models.layers.up_attention import SkipGate, pool_channels

DEEP, SKIP = 6, 4
modes = pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
pools = pytest.mark.parametrize('pool', ['channel', 'space'])
close = dict(rtol=1e-10, atol=1e-10)


def pair(size=(6, 8), batch=2):
    half = [-(-side // 2) for side in size]
    deep = torch.randn(batch, DEEP, *half, dtype=torch.float64, requires_grad=True)
    return deep, torch.randn(batch, SKIP, *size, dtype=torch.float64, requires_grad=True)


def mlp(v, module):
    """Linear, ReLU, linear; nothing after it."""
    first, second = module.mlp[0], module.mlp[-1]
    hidden = first.weight @ v + first.bias
    return second.weight @ torch.where(hidden > 0, hidden, torch.zeros_like(hidden)) + second.bias


def gate(skip, module, pool):
    """GAP, GMP and their sum, concatenated, through the MLP, for each pixel or each image."""
    out = []
    for one in skip:
        if pool == 'space':
            flat = one.flatten(1)
            mean, most = flat.sum(1) / flat.shape[1], flat.max(1).values
            out.append(mlp(torch.cat([mean, most, mean + most]), module)[:, None, None].expand_as(one))
        else:
            weight, bias = module.conv.conv.weight[:, :, 0, 0], module.conv.conv.bias
            pixels = []
            for v in one.flatten(1).T:
                v = torch.relu(weight @ v + bias)
                mean, most = v.sum() / len(v), v.max()
                pixels.append(mlp(torch.stack([mean, most, mean + most]), module))
            out.append(torch.stack(pixels, 1).view(1, *one.shape[1:]).expand_as(one))
    return torch.stack(out)


def conv_bn(x, weight, norm, training):
    x = F.conv2d(x, weight, padding=1)
    mean, var = norm.running_mean, norm.running_var
    if training:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    mean, var, scale, shift = (v[:, None, None] for v in (mean, var, norm.weight, norm.bias))
    return torch.relu((x - mean) / torch.sqrt(var + 1e-5) * scale + shift)


def reference(module, deep, skip, pool, training):
    """The gated skip first, then the up-sampled map."""
    gated = gate(skip, module.gate, pool) * skip
    up = deep.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, :, : skip.shape[2], : skip.shape[3]]
    x = conv_bn(torch.cat([gated, up], 1), module.conv1.conv.weight, module.conv1.bn, training)
    return conv_bn(x, module.conv2.conv.weight, module.conv2.bn, training)


def assert_same(ours, theirs, leaves):
    torch.testing.assert_close(ours, theirs, **close)
    seed = torch.randn_like(ours)
    for a, b in zip(*(torch.autograd.grad(y, leaves, seed) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


@pools
@pytest.mark.parametrize('size', [(6, 8), (5, 3), (1, 1)], ids=str)
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last], ids=['nchw', 'nhwc'])
def test_gate(randomise, layout, pool, size):
    module, (_, skip) = randomise(SkipGate(SKIP, pool)).double(), pair(size)
    skip = skip.detach().contiguous(memory_format=layout).requires_grad_()
    ours = module(skip)
    assert ours.shape == ((2, 1, *size) if pool == 'channel' else (2, SKIP, 1, 1))
    assert_same(ours.expand_as(skip), gate(skip, module, pool), [skip, *module.parameters()])


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last], ids=['nchw', 'nhwc'])
def test_pooling_over_channels(layout):
    x = torch.randn(2, SKIP, 3, 5, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    assert_same(torch.stack(pool_channels(x)), torch.stack([x.mean(1), x.amax(1)]), [x])
    gradient = torch.autograd.grad(sum(pool_channels(x)).square().sum(), x)[0]
    assert gradient.is_contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        torch.testing.assert_close(torch.stack(pool_channels(x)), torch.stack([x.mean(1), x.amax(1)]), **close)


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('outer', [1, 5])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last], ids=['nchw', 'nhwc'])
def test_pointwise_is_a_1x1_convolution(layout, outer, bias):
    conv = torch.nn.Conv2d(SKIP, outer, 1, bias=bias).double()
    x = torch.randn(2, SKIP, 3, 5, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    ours = pointwise(conv, x)
    assert ours.is_contiguous(memory_format=layout)
    assert_same(ours, conv(x), [x, *conv.parameters()])


def test_gate_widths_are_the_papers():
    module = SkipGate(384)
    assert [tuple(p.shape) for p in module.mlp.parameters()] == [(6, 3), (6,), (1, 6), (1,)]
    assert module.conv.conv.weight.shape == (384, 384, 1, 1)
    assert [tuple(p.shape) for p in SkipGate(8, 'space').mlp.parameters()] == [(8, 24), (8,), (8, 8), (8,)]


@pools
def test_gate_is_no_sigmoid(randomise, pool):
    """It is linear in its last layer, and leaves [0, 1]."""
    module, (_, skip) = randomise(SkipGate(SKIP, pool)).double(), pair()
    before = module(skip)
    with torch.no_grad():
        module.mlp[-1].weight.mul_(-7)
        module.mlp[-1].bias.mul_(-7)
    torch.testing.assert_close(module(skip), -7 * before, **close)


@modes
@pools
@pytest.mark.parametrize('size', [(6, 8), (2, 2), (5, 8), (6, 7), (5, 3)], ids=str)
@pytest.mark.parametrize('layout', ['nchw', 'nhwc', 'nhwc, by differences'])
def test_value_and_gradients(monkeypatch, randomise, layout, pool, size, training):
    """Odd sides too, where an up-sampled pixel is cut and zeros follow."""
    module = randomise(UpAttention(DEEP, SKIP, pool=pool)).double().train(training)
    deep, skip = pair(size)
    if layout != 'nchw':
        deep, skip = (x.detach().contiguous(memory_format=torch.channels_last).requires_grad_() for x in (deep, skip))
    if 'differences' in layout:
        monkeypatch.setattr(up_conv, 'WIDE', 1)
    theirs = reference(module, deep, skip, pool, training)  # before ours moves the running statistics
    assert_same(module(deep, skip), theirs, [deep, skip, *module.parameters()])


@pools
def test_running_statistics_are_those_of_the_direct_form(randomise, pool):
    module = randomise(UpAttention(DEEP, SKIP, pool=pool)).double().train()
    deep, skip = pair()
    before = module.conv1.bn.running_mean.clone(), module.conv1.bn.running_var.clone()
    module(deep, skip)
    gated = gate(skip, module.gate, pool) * skip
    up = F.interpolate(deep, scale_factor=2, mode='nearest')
    x = F.conv2d(torch.cat([gated, up], 1), module.conv1.conv.weight, padding=1)
    for old, new, value in (
        (before[0], module.conv1.bn.running_mean, x.mean((0, 2, 3))),
        (before[1], module.conv1.bn.running_var, x.var((0, 2, 3))),
    ):
        torch.testing.assert_close(new, 0.9 * old + 0.1 * value, **close)


@pytest.mark.parametrize('size', [(6, 8), (5, 7)], ids=str)
def test_a_norm_folded_into_the_first_convolution(randomise, size):
    """Gives it a bias, once for both of its parts."""
    module, (deep, skip) = randomise(UpAttention(DEEP, SKIP)).double().eval(), pair(size)
    expected, conv, norm = module(deep, skip), module.conv1.conv, module.conv1.bn
    statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics)
    module.conv1.bn = torch.nn.Identity()
    torch.testing.assert_close(module(deep, skip), expected, **close)


def test_out_channels():
    deep, skip = (x.float() for x in pair())
    assert UpAttention(DEEP, SKIP)(deep, skip).shape == (2, SKIP, 6, 8)
    assert UpAttention(DEEP, SKIP, 3)(deep, skip).shape == (2, 3, 6, 8)


@pytest.mark.parametrize('size', [(7, 8), (6, 9), (4, 8), (3, 4), (12, 16)], ids=str)
def test_a_skip_of_another_size_is_refused(size):
    deep, _ = pair((6, 8))
    with pytest.raises(ValueError, match=r'twice the size of the deeper map.*strides s and 2s'):
        UpAttention(DEEP, SKIP)(deep.float(), torch.randn(2, SKIP, *size))


def test_bad_pool():
    with pytest.raises(ValueError, match="'channel' or 'space'"):
        UpAttention(DEEP, SKIP, pool='time')


@pytest.mark.parametrize('norm_cfg', [dict(type='GN', num_groups=2), None], ids=['GN', 'none'])
def test_other_norms(norm_cfg):
    deep, skip = (x.float() for x in pair())
    assert UpAttention(DEEP, SKIP, norm_cfg=norm_cfg)(deep, skip).isfinite().all()
