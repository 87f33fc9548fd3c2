"""The convolution of an up-sampled map against doing both."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from mmseg_textseg.models import upsampled_conv
from mmseg_textseg.models.layers import up_conv


def direct(x, weight):
    return F.conv2d(F.interpolate(x, scale_factor=2, mode='nearest'), weight, padding=1)


def by_loops(x, weight):
    """Pixel by pixel, tap by tap."""
    height, width = 2 * x.shape[2], 2 * x.shape[3]
    out = x.new_zeros(len(x), len(weight), height, width)
    for i in range(height):
        for j in range(width):
            for u in range(3):
                for v in range(3):
                    row, column = i + u - 1, j + v - 1
                    if 0 <= row < height and 0 <= column < width:
                        out[:, :, i, j] += x[:, :, row // 2, column // 2] @ weight[:, :, u, v].T
    return out


SHAPES = [(2, 3, 4, 5, 6), (1, 1, 1, 1, 1), (2, 5, 2, 1, 7), (3, 2, 7, 4, 1)]


@pytest.mark.parametrize(('batch', 'inner', 'outer', 'height', 'width'), SHAPES)
def test_value_and_both_gradients(batch, inner, outer, height, width):
    x = torch.randn(batch, inner, height, width, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(outer, inner, 3, 3, dtype=torch.float64, requires_grad=True)
    ours, theirs = upsampled_conv(x, weight), direct(x, weight)
    assert ours.shape == (batch, outer, 2 * height, 2 * width)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours, by_loops(x.detach(), weight.detach()), rtol=1e-12, atol=1e-12)
    seed = torch.randn_like(ours)
    for a, b in zip(*(torch.autograd.grad(y, (x, weight), seed) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(('batch', 'inner', 'outer', 'height', 'width'), SHAPES)
def test_wide_maps_by_differences(monkeypatch, batch, inner, outer, height, width):
    """Value and gradients; each of these alone, too."""
    monkeypatch.setattr(up_conv, 'WIDE', 1)
    x = torch.randn(batch, inner, height, width, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(outer, inner, 3, 3, dtype=torch.float64, requires_grad=True)
    ours, theirs = upsampled_conv(x.requires_grad_(), weight), direct(x, weight)
    assert 'ByDifferences' in type(ours.grad_fn).__name__
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert not ours._is_view()  # UpAttention adds to it in place
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    seed = torch.randn_like(ours)
    for leaves in ((x, weight), (x,), (weight,)):
        pairs = (torch.autograd.grad(y, leaves, seed, retain_graph=True) for y in (ours, theirs))
        for a, b in zip(*pairs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    x, weight = x.detach(), weight.detach()
    torch.testing.assert_close(upsampled_conv(x, weight), theirs, rtol=1e-12, atol=1e-12)
    frozen = upsampled_conv(x.requires_grad_(), weight)
    torch.testing.assert_close(
        *(torch.autograd.grad(y, x, seed)[0] for y in (frozen, direct(x, weight))), rtol=1e-12, atol=1e-12
    )


def test_by_differences_in_single_precision():
    """Where it is used: 96 channels; as near to float64 as the direct form."""
    x = torch.randn(2, 96, 6, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = (torch.randn(96, 96, 3, 3) / 29).requires_grad_()
    seed = torch.randn(2, 96, 12, 10)
    errors = []
    exact = direct(x.double(), weight.double())
    exact = exact, *torch.autograd.grad(exact, (x, weight), seed.double())
    for form in (upsampled_conv, direct):
        y = form(x, weight)
        found = y, *torch.autograd.grad(y, (x, weight), seed)
        errors.append([((a - b).abs().max() / b.abs().max()).item() for a, b in zip(found, exact, strict=True)])
    assert 'ByDifferences' in type(upsampled_conv(x, weight).grad_fn).__name__
    assert max(errors[0]) < 3e-6, errors


def test_where_it_goes_by_differences():
    """On wide channels-last maps alone, and not under autocast, nor in a graph that is traced."""
    x, weight = torch.randn(1, 96, 4, 4), (torch.randn(96, 96, 3, 3) / 29).requires_grad_()
    wide = x.contiguous(memory_format=torch.channels_last)

    def name(*args):
        return type(upsampled_conv(*args).grad_fn).__name__

    assert 'ByDifferences' in name(wide, weight)
    assert 'ByDifferences' not in name(x, weight)
    assert 'ByDifferences' not in name(wide, weight[:95])
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert 'ByDifferences' not in name(wide, weight)
    weight = weight.detach()
    traced = torch.jit.trace(lambda x: upsampled_conv(x, weight), wide, check_trace=False)
    assert 'convolution' in str(traced.inlined_graph)
    torch.testing.assert_close(traced(wide), upsampled_conv(wide, weight), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last], ids=['nchw', 'nhwc'])
def test_layout_and_single_precision(layout):
    x, weight = torch.randn(2, 8, 6, 5), torch.randn(4, 8, 3, 3)
    ours = upsampled_conv(x.contiguous(memory_format=layout), weight)
    torch.testing.assert_close(ours, direct(x, weight), rtol=1e-4, atol=1e-4)


def test_bfloat16_autocast():
    x, weight = torch.randn(2, 32, 8, 8), torch.randn(32, 32, 3, 3) / 17
    with torch.autocast('cpu', dtype=torch.bfloat16):
        ours = upsampled_conv(x, weight)
    assert ours.dtype == torch.bfloat16
    assert (ours.float() - direct(x, weight)).abs().mean() < 0.01


def test_four_products_an_output_instead_of_nine():
    counts = []
    for function in (upsampled_conv, direct):
        with torch.device('meta'), FlopCounterMode(display=False) as counter:
            function(torch.empty(2, 16, 8, 10), torch.empty(4, 16, 3, 3))
        flops = {str(k): v for k, v in counter.get_flop_counts()['Global'].items()}
        counts.append(flops['aten.convolution'] / 2 / (2 * 4 * 16 * 20) / 16)
    assert counts == [4, 9]
