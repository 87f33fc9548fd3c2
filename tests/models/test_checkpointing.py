"""Gradient checkpointing: the same step with fewer activations kept."""

import copy
import weakref

import pytest
import torch
from torch import nn

from mmseg_textseg.models import PPE, SVLAEncoder, TextFeatures
from mmseg_textseg.models.layers.checkpointing import checkpointed


@pytest.fixture
def svla(tiny_arch, randomise):
    def build(**options):
        arch = {**tiny_arch, 'depths': (2, 1, 2, 1)}
        torch.manual_seed(0)
        return randomise(SVLAEncoder(arch, text_channels=12, **{'drop_path_rate': 0.5, **options})).double().train()

    return build, (4, 3, 32, 32)


@pytest.fixture
def ppe(randomise):
    def build(**options):
        torch.manual_seed(0)
        small = dict(base_channels=8, img_size=32, text_channels=12, num_text_tokens=5, num_heads=2, dropout=0.2)
        return randomise(PPE(**small, **options)).double().train()

    return build, (4, 3, 32, 32)


@pytest.fixture(params=['svla', 'ppe'])
def encoder(request):
    return request.getfixturevalue(request.param)


def step(model, images, text):
    """Maps, gradients of image, text and weights, buffers, and the next random number of one training step."""
    images = images.clone().requires_grad_()
    tokens = text.tokens.clone().requires_grad_()
    torch.manual_seed(3)
    maps = model(images, TextFeatures(tokens, text.mask, text.pooled))
    weights = [torch.linspace(-1, 1, m.numel(), dtype=m.dtype).view(m.shape) for m in maps]
    sum((m * w).sum() for m, w in zip(maps, weights, strict=True)).backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    assert all(g is not None for g in gradients.values())
    return [*maps, images.grad, tokens.grad], gradients, dict(model.named_buffers()), torch.rand(1)


def test_a_step_is_the_same(encoder, make_text):
    """Drop path and dropout draw the same numbers, running statistics move once, and so does their count."""
    build, shape = encoder
    images, text = torch.randn(*shape, dtype=torch.float64), make_text((5, 3, 4, 1), dtype=torch.float64)
    plain, kept = build(), build(with_cp=True)
    before = {name: b.clone() for name, b in kept.named_buffers()}
    expected, found = step(plain, images, text), step(kept, images, text)
    for a, b in zip(found[0], expected[0], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    for one, other in zip(found[1:3], expected[1:3], strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            torch.testing.assert_close(value, other[name], rtol=1e-9, atol=1e-11, msg=lambda m, n=name: f'{n}: {m}')
    assert torch.equal(found[3], expected[3])
    moved = [name for name, b in kept.named_buffers() if not torch.equal(b, before[name])]
    assert len(moved) == len(before), 'statistics move, but not twice'


def test_a_second_step_and_evaluation_are_the_same(encoder, make_text):
    build, shape = encoder
    text = make_text((5, 3, 4, 1), dtype=torch.float64)
    plain, kept = build(), build(with_cp=True)
    for _ in range(2):
        images = torch.randn(*shape, dtype=torch.float64)
        step(plain, images, text)
        step(kept, images, text)
    for a, b in zip(kept.eval()(images, text), plain.eval()(images, text), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_frozen_norms_keep_their_statistics(svla, make_text):
    """Norms in evaluation use running statistics in the second pass too."""
    build, shape = svla
    images, text = torch.randn(*shape, dtype=torch.float64), make_text((5, 3, 4, 1), dtype=torch.float64)
    models = [build(), build(with_cp=True)]
    for model in models:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    expected, found = (step(model, images, text) for model in models)
    for name, value in found[1].items():
        torch.testing.assert_close(value, expected[1][name], rtol=1e-9, atol=1e-11)


def test_accumulated_gradients_of_two_passes(svla, make_text):
    """Both forwards before both backwards: statistics of the first recomputation may not fall into the second."""
    build, shape = svla
    text = make_text((5, 3, 4, 1), dtype=torch.float64)
    one, two = torch.randn(2, *shape, dtype=torch.float64)
    results = []
    for model in (build(drop_path_rate=0.0), build(drop_path_rate=0.0, with_cp=True)):
        (model(one, text)[-1].sum() + model(two, text)[-1].square().sum()).backward()
        results.append(([p.grad for p in model.parameters() if p.grad is not None], list(model.buffers())))
    for a, b in zip(*results, strict=True):
        for x, y in zip(a, b, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-11)


class Inner(nn.Module):
    """Keeps a weak reference to what it computes on the way."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.seen = []

    def forward(self, x):
        y = self.linear(x).exp()
        self.seen.append(weakref.ref(y))
        return y * y


def test_activations_are_dropped_and_computed_again():
    for keep in (True, False):
        inner = Inner()
        x = torch.randn(2, 4, requires_grad=True)
        out = inner(x) if keep else checkpointed(inner, x)
        assert (inner.seen[0]() is not None) == keep
        out.sum().backward()
        assert len(inner.seen) == (1 if keep else 2)


def test_without_gradient_it_is_a_plain_call():
    inner = Inner()
    with torch.no_grad():
        out = checkpointed(inner, torch.randn(2, 4))
    assert not out.requires_grad
    assert len(inner.seen) == 1


def test_buffers_come_back_after_an_error_in_the_second_pass():
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(4)
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError('second pass')
            return self.norm(x).exp()

    module = Fails()
    mean = module.norm.running_mean
    out = checkpointed(module, torch.randn(3, 4, requires_grad=True))
    with pytest.raises(RuntimeError, match='second pass'):
        out.sum().backward()
    assert module.norm.running_mean is mean
    assert module.norm.num_batches_tracked == 1


def test_bfloat16_autocast_in_both_passes(svla, make_text):
    build, shape = svla
    images, text = torch.randn(*shape), make_text((5, 3, 4, 1))
    gradients = []
    for model in (build(drop_path_rate=0.0).float(), build(drop_path_rate=0.0, with_cp=True).float()):
        with torch.autocast('cpu', torch.bfloat16):
            loss = model(images, text)[-1].float().square().mean()
        loss.backward()
        gradients.append(copy.deepcopy([p.grad for p in model.parameters() if p.grad is not None]))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize('with_cp', [False, True])
def test_every_part_that_is_meant_begins_twice(encoder, with_cp, make_text):
    build, shape = encoder
    # Begins: the second pass stops where backward has all it needs.
    model, calls = build(with_cp=with_cp), {}
    parts = [m for i in range(1, 5) for m in getattr(model, f'block{i}', ())]
    parts = parts or [model.stem, *model.down_blocks]
    for part in parts:
        part.register_forward_pre_hook(lambda module, _: calls.update({module: calls.get(module, 0) + 1}))
    step(model, torch.randn(*shape, dtype=torch.float64), make_text((5, 3, 4, 1), dtype=torch.float64))
    assert list(calls.values()) == [1 + with_cp] * len(parts)
