"""fuse() over every model of the list: the same answers, from fewer passes."""

import copy

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_textseg.models.fusing import fuse


def test_a_fused_model_answers_the_same(subject):
    model, (inputs, samples) = subject.random(), subject.batch()
    before = copy.deepcopy(model.state_dict())
    fused = fuse(model)
    expected = subject.logits(model, inputs, samples)
    torch.testing.assert_close(subject.logits(fused, inputs, samples), expected, rtol=1e-4, atol=2e-5)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items()), 'the model itself stays'
    norms = [sum(isinstance(m, _BatchNorm) for m in one.modules()) for one in (model, fused)]
    assert norms[1] < norms[0]


def test_in_float64_nothing_differs_but_the_last_digits(subject):
    model, (inputs, samples) = subject.random().double(), subject.batch()
    expected = subject.logits(model, inputs.double(), samples)
    found = subject.logits(fuse(model), inputs.double(), samples)
    assert (found - expected).abs().max() <= 1e-9 * expected.abs().max()
