"""The case of compiling: its contenders do one job."""

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
