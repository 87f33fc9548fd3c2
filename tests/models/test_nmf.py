"""NMF2d against Lee and Seung's multiplicative updates, written again with X (D, N) = bases (D, R) codes (R, N)."""

import pytest
import torch
from mmseg.models.decode_heads.ham_head import Hamburger

from mmseg_textseg.models import NMF2d
from mmseg_textseg.models.layers import NMFHamburger

EPS = 1e-6


def updates(x, bases, steps):
    """Bases and codes of one picture after ``steps`` updates of each; x (D, N), bases (D, R)."""
    codes = torch.softmax(bases.T @ x, dim=0)  # over the R parts, for each pixel
    for _ in range(steps):
        codes = codes * (bases.T @ x) / (bases.T @ bases @ codes + EPS)
        bases = bases * (x @ codes.T) / (bases @ codes @ codes.T + EPS)
    return bases, codes


def reconstruct(x, bases, steps):
    """(B, D, H, W) -> the same, one more update of the codes after ``steps``; only that one has a gradient."""
    out = []
    for image in x:
        flat = image.flatten(1)
        with torch.no_grad():
            end, codes = updates(flat, bases, steps)
        codes = codes * (end.T @ flat) / (end.T @ end @ codes + EPS)
        out.append((end @ codes).view_as(image))
    return torch.stack(out)


def maps(batch=2, channels=6, height=5, width=4, dtype=torch.float64):
    return torch.rand(batch, channels, height, width, dtype=dtype)


@pytest.mark.parametrize(('training', 'steps'), [(True, 6), (False, 7)])
def test_value_at_the_default_number_of_steps(training, steps):
    nmf = NMF2d(6, rank=3).double().train(training)
    x = maps()
    torch.testing.assert_close(nmf(x), reconstruct(x, nmf.bases, steps), rtol=1e-10, atol=1e-12)
    assert not torch.allclose(nmf(x), reconstruct(x, nmf.bases, 13 - steps), rtol=1e-6)


@pytest.mark.parametrize('steps', [0, 1, 3])
def test_value_and_gradient_at_other_steps(steps):
    nmf = NMF2d(6, rank=4, train_steps=steps, eval_steps=steps).double()
    x = maps().requires_grad_()
    ours, theirs = nmf(x), reconstruct(x, nmf.bases, steps)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    seed = torch.randn_like(x)
    torch.testing.assert_close(torch.autograd.grad(ours, x, seed), torch.autograd.grad(theirs, x, seed))


def test_gradient_is_the_one_step_gradient_derived_by_hand():
    """y = D (c * (D^T x) / (D^T D c + eps)), D and c constant: dL/dx = D (q * (D^T dL/dy)), q = c / (D^T D c + eps)."""
    nmf = NMF2d(6, rank=3, train_steps=4).double().train()
    x = maps(batch=1).requires_grad_()
    seed = torch.randn_like(x)
    (gradient,) = torch.autograd.grad(nmf(x), x, seed)
    flat = x.detach()[0].flatten(1)
    bases, codes = updates(flat, nmf.bases, 4)
    quotient = codes / (bases.T @ bases @ codes + EPS)
    expected = bases @ (quotient * (bases.T @ seed[0].flatten(1)))
    torch.testing.assert_close(gradient[0].flatten(1), expected, rtol=1e-10, atol=1e-12)


def test_gradcheck_of_the_last_step(monkeypatch):
    """With the factors held, the numerical gradient is that of the last coefficient step."""
    nmf = NMF2d(4, rank=3).double()
    x = maps(batch=1, channels=4, height=2, width=3).requires_grad_()
    held = nmf._factorise(x.detach().permute(0, 2, 3, 1).flatten(1, 2))
    monkeypatch.setattr(nmf, '_factorise', lambda flat: held)
    assert torch.autograd.gradcheck(nmf, (x,))


def test_output_is_not_negative_and_of_low_rank():
    y = NMF2d(8, rank=2).double()(maps(channels=8))
    assert (y >= 0).all()
    assert torch.linalg.matrix_rank(y[0].flatten(1), rtol=1e-9) == 2


def test_error_falls_with_steps():
    x = maps(channels=12, height=8, width=8)
    errors = [(NMF2d(12, 4, eval_steps=s).double().eval()(x) - x).norm().item() for s in (0, 1, 2, 4, 8, 32, 128)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.98 * errors[1]


def test_a_map_of_rank_one_is_found_exactly():
    x = (torch.rand(5, 1).double() @ torch.rand(1, 12).double()).view(1, 5, 3, 4)
    torch.testing.assert_close(NMF2d(5, rank=1).double().eval()(x), x, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('training', [True, False])
def test_calls_are_bit_identical_and_leave_the_bases(training):
    nmf = NMF2d(16, rank=4).train(training)
    before, x = nmf.bases.clone(), maps(channels=16, dtype=torch.float32)
    first = nmf(x)
    torch.rand(7)  # the global generator has moved on
    nmf(maps(channels=16, dtype=torch.float32))
    assert torch.equal(first, nmf(x))
    assert torch.equal(before, nmf.bases)


def test_an_image_does_not_depend_on_its_batch():
    nmf, x = NMF2d(6, rank=3).double(), maps(batch=3)
    torch.testing.assert_close(nmf(x)[1:2], nmf(x[1:2]), rtol=1e-12, atol=1e-12)


def test_bases_are_seeded_columns_of_length_one():
    torch.manual_seed(1)
    first = NMF2d(32, rank=5, seed=3)
    torch.manual_seed(2)
    second = NMF2d(32, rank=5, seed=3)
    assert torch.equal(first.bases, second.bases)
    assert not torch.equal(first.bases, NMF2d(32, rank=5, seed=4).bases)
    assert first.bases.shape == (32, 5)
    assert (first.bases >= 0).all()
    torch.testing.assert_close(first.bases.norm(dim=0), torch.ones(5))
    assert not list(first.parameters())


def test_state_dict_carries_the_bases():
    source, target = NMF2d(6, rank=3, seed=1), NMF2d(6, rank=3, seed=2)
    x = maps(dtype=torch.float32)
    assert not torch.equal(source(x), target(x))
    target.load_state_dict(source.state_dict(), strict=True)
    assert torch.equal(source(x), target(x))


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_output_is_channels_last_whatever_the_input(layout):
    x = maps(dtype=torch.float32)
    y = NMF2d(6, rank=3)(x.contiguous(memory_format=layout))
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(y, NMF2d(6, rank=3)(x))


def test_zeros_and_1x1_are_finite():
    nmf = NMF2d(6, rank=3).train()
    x = torch.zeros(1, 6, 1, 1, requires_grad=True)
    y = nmf(x)
    assert y.eq(0).all()
    y.sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize('autocast', [False, True])
def test_bfloat16_is_computed_in_float32(autocast):
    nmf, x = NMF2d(16, rank=4), maps(channels=16, dtype=torch.bfloat16)
    with torch.autocast('cpu', enabled=autocast):
        y = nmf(x)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, nmf(x.float()).bfloat16())


@pytest.mark.parametrize('width', [6, 4])
def test_a_linear_map_of_the_reconstruction(width):
    nmf = NMF2d(6, rank=3).double()
    x, weight = maps().requires_grad_(), torch.randn(width, 6, dtype=torch.float64, requires_grad=True)
    ours, theirs = nmf.reconstruct(x, weight), torch.einsum('ed,bdhw->behw', weight, nmf(x))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    seed = torch.randn_like(ours)
    for a, b in zip(*(torch.autograd.grad(y, [x, weight], seed) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('norm_cfg', [dict(type='GN', num_groups=2), None])
def test_hamburger_equals_the_stock_one_around_the_same_factorisation(norm_cfg):
    ours = NMFHamburger(6, 3, 2, 2, norm_cfg).double().train()
    stock = Hamburger(6, dict(MD_R=3), norm_cfg).double()
    stock.ham = NMF2d(6, 3, 2, 2).double()
    stock.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(2, 6, 5, 4, dtype=torch.float64, requires_grad=True)
    seed = torch.randn_like(x)
    results = []
    for module in (ours, stock.train()):
        y = module(x)
        results.append([y, *torch.autograd.grad(y, [x, *module.parameters()], seed)])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
