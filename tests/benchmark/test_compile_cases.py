"""The case of compiling: its contenders do one job."""

import shutil

import pytest
import torch
from mmengine.registry import DefaultScope

from mmseg_textseg.benchmark import compile as case


@pytest.mark.slow
def test_contenders_make_the_same_logits():
    with DefaultScope.overwrite_default_scope('mmseg'):
        (group,) = case.groups(sizes=(32,), variants=('micro',), backend='eager')
    assert (group.name, group.reference) == ('compile/micro/32/1', 'eager')
    assert (group.axis, group.traced) == (dict(pixels=1024, batch=1), False)
    assert 'first call: compiled ' in group.job
    found = {name: call() for name, call in group.contenders.items()}
    expected = found['eager']
    assert expected.shape == (1, 2, 8, 8)
    assert not any(value.requires_grad for value in found.values())
    for name, value in found.items():
        rough = 'bfloat16' in name
        torch.testing.assert_close(value.float(), expected, rtol=0, atol=(0.1 if rough else 1e-5) * expected.std())
        assert rough == (not torch.allclose(value.float(), expected, rtol=0, atol=1e-5)), name


@pytest.mark.slow
def test_compiled_encoders_make_the_same_maps():
    with DefaultScope.overwrite_default_scope('mmseg'):
        (group,) = case.encoder_groups(sizes=(32,), variants=('micro',), backend='eager')
    assert (group.name, group.reference) == ('compile-encoder/micro/32/1', 'MSCAN')
    assert list(group.contenders) == [
        f'{name}{how}' for how in ('', ', compiled', ', compiled, frozen') for name in ('MSCAN', 'SVLAEncoder, folded')
    ]
    expected = group.contenders['MSCAN']()
    for call in group.contenders.values():
        for found, wanted in zip(call(), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4 * wanted.std().item())


@pytest.mark.slow
def test_compiled_steps_train_the_model_that_the_eager_ones_train():
    with DefaultScope.overwrite_default_scope('mmseg'):
        (group,) = case.step_groups(sizes=(64,), variants=('micro',), backend='eager')
    assert (group.name, group.reference) == ('compile-step/micro/64/2', 'stock-style')
    assert list(group.contenders) == ['stock-style', 'LSMS', 'stock-style, compiled', 'LSMS, compiled']
    for kind in ('stock-style', 'LSMS'):
        eager, compiled = (group.contenders[name].func for name in (kind, f'{kind}, compiled'))
        assert eager.model is compiled.model
        before = next(compiled.model.parameters()).detach().clone()
        assert 0 < group.contenders[f'{kind}, compiled']() < 100
        assert not torch.equal(before, next(compiled.model.parameters()))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('g++') is None, reason='inductor needs a compiler')
def test_frozen_programs_have_the_weights_in_them():
    """So a change of the weights comes too late."""
    x, layer = torch.ones(2, 3), torch.nn.Linear(3, 4).eval()
    plain, frozen = (case._compiled(layer, 'inductor', frozen=frozen) for frozen in (False, True))
    with torch.no_grad():
        expected = layer(x)
        for program in (plain, frozen):
            torch.testing.assert_close(program(x), expected)
        layer.weight.zero_()
        layer.bias.zero_()
        torch.testing.assert_close(plain(x), torch.zeros(2, 4))
        torch.testing.assert_close(frozen(x), expected)
