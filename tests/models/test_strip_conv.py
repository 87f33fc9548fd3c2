import pytest
import torch
from torch import nn

from mmseg_textseg.models.layers.strip_conv import row_conv


def conv(length, channels=4, dtype=torch.float64, bias=True):
    return nn.Conv2d(channels, channels, (1, length), padding=(0, length // 2), groups=channels, bias=bias).to(dtype)


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('length', [3, 7, 11, 15, 21])
@pytest.mark.parametrize('bias', [True, False])
def test_value_and_gradients_are_those_of_the_convolution(length, layout, bias):
    module = conv(length, bias=bias)
    x = torch.randn(2, 4, 5, 9, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    ours, theirs = row_conv(module, x), module(x)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    seed, leaves = torch.randn_like(theirs), [x, *module.parameters()]
    for a, b in zip(*(torch.autograd.grad(y, leaves, seed) for y in (ours, theirs)), strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('size', [(1, 1), (1, 8), (8, 1), (6, 30)])
def test_sizes(size):
    module, x = conv(21), torch.randn(2, 4, *size, dtype=torch.float64)
    torch.testing.assert_close(row_conv(module, x), module(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('frozen', [True, False])
@pytest.mark.parametrize('grad', [True, False])
def test_the_way_taken_does_not_show(frozen, grad):
    module = conv(21).requires_grad_(not frozen)
    x = torch.randn(2, 4, 6, 7, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    with torch.set_grad_enabled(grad):
        y = row_conv(module, x)
    torch.testing.assert_close(y, module(x), rtol=1e-12, atol=1e-12)
    assert y.requires_grad == grad
    assert y.is_contiguous(memory_format=torch.channels_last)
    if grad:
        y.sum().backward()
        assert x.grad.isfinite().all()
        assert (module.weight.grad is None) == frozen
