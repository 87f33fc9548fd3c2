import pytest
import torch
import torch.nn.functional as F

from mmseg_textseg.models import InstanceNorm

LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('shape', [(2, 3, 7, 5), (1, 4, 1, 9), (3, 1, 2, 2)])
@pytest.mark.parametrize('eps', [1e-5, 1e-2])
def test_equals_torch(shape, layout, eps):
    x = (torch.randn(shape) * 3 + 2).contiguous(memory_format=layout)
    torch.testing.assert_close(InstanceNorm(eps)(x), F.instance_norm(x, eps=eps), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('mode', ['train', 'eval'])
def test_values_and_gradients_in_float64(mode):
    norm = InstanceNorm().train(mode == 'train')
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    seed = torch.randn_like(x)
    ours, theirs = norm(x), F.instance_norm(x)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    gradients = [torch.autograd.grad(y, x, seed)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)


def test_hand_worked():
    x = torch.tensor([[[[1.0, 3.0]], [[10.0, 10.0]]]])
    torch.testing.assert_close(InstanceNorm(eps=0.0)(x)[0, 0], torch.tensor([[-1.0, 1.0]]))
    assert InstanceNorm()(x)[0, 1].eq(0).all()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize('value', [1.2345, 0.1, -37.7])
def test_a_1x1_map_in_training_becomes_zero(dtype, value):
    x = torch.full((2, 3, 1, 1), value, dtype=dtype, requires_grad=True)
    y = InstanceNorm().train()(x)
    assert y.eq(0).all()
    y.sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize('layout', LAYOUTS)
def test_layout_is_kept(layout):
    x = torch.randn(2, 6, 5, 4).contiguous(memory_format=layout)
    y = InstanceNorm()(x)
    assert y.stride() == x.stride()
    assert y.dtype == x.dtype


def test_half_precision_survives_a_mean_far_from_zero():
    """In bfloat16 x * s - mean * s cancels to noise where (x - mean) * s is exact to the last bit of x."""
    x = (torch.randn(1, 2, 16, 16) * 0.5 + 10).bfloat16()
    exact = F.instance_norm(x.double())
    torch.testing.assert_close(InstanceNorm()(x).double(), exact, rtol=0.01, atol=0.01)


def test_no_parameters():
    assert not list(InstanceNorm().parameters())
    assert not InstanceNorm().state_dict()
