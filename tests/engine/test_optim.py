"""BFloat16OptimWrapper: the forward pass in bfloat16, weights and steps in float32."""

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS
from torch import nn

from mmseg_textseg.engine import BFloat16OptimWrapper


class Model(nn.Module):
    """A layer that notes in what type it computed, with mmengine's step around it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.types = []

    def forward(self, x):
        out = self.layer(x)
        self.types.append(out.dtype)
        return out.float().square().mean()

    def train_step(self, x, wrapper):
        with wrapper.optim_context(self):
            loss = self(x)
        wrapper.update_params(loss)
        return loss.detach()


def sgd(model: nn.Module, kind=BFloat16OptimWrapper, **options):
    return kind(torch.optim.SGD(model.parameters(), lr=0.1), **options)


def weights(model: nn.Module) -> torch.Tensor:
    return model.layer.weight.detach().clone()


def twin(model: Model) -> Model:
    copy = Model()
    copy.load_state_dict(model.state_dict())
    return copy


def test_forward_runs_in_bfloat16_and_only_inside():
    model = Model()
    wrapper = sgd(model)
    with wrapper.optim_context(model):
        assert torch.is_autocast_enabled('cpu')
        assert torch.get_autocast_dtype('cpu') == torch.bfloat16
        model(torch.randn(3, 4))
    assert not torch.is_autocast_enabled('cpu')
    model(torch.randn(3, 4))
    assert model.types == [torch.bfloat16, torch.float32]


def test_autocast_ends_with_an_error_inside():
    model = Model()
    with pytest.raises(RuntimeError, match='inside'), sgd(model).optim_context(model):
        raise RuntimeError('inside')
    assert not torch.is_autocast_enabled('cpu')


def test_a_step_changes_float32_weights_as_float32_training_would():
    model = Model()
    plain, before, x = twin(model), weights(model), torch.randn(8, 4)
    model.train_step(x, sgd(model))
    plain.train_step(x, sgd(plain, OptimWrapper))
    assert model.layer.weight.dtype == torch.float32
    change, expected = weights(model) - before, weights(plain) - before
    assert change.abs().max() > 1e-3
    assert torch.allclose(change, expected, rtol=0.05, atol=1e-3)
    assert not torch.equal(change, expected), 'bfloat16 rounds; equal steps would mean that it did not run'


def test_steps_reduce_the_loss():
    model, x = Model(), torch.randn(8, 4)
    wrapper = sgd(model)
    losses = [model.train_step(x, wrapper).item() for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]


def test_gradients_accumulate_over_two_batches():
    model, x, y = Model(), torch.randn(8, 4), torch.randn(8, 4)
    whole = twin(model)
    wrapper, before = sgd(model, accumulative_counts=2), weights(model)
    wrapper.initialize_count_status(model, 0, 4)
    model.train_step(x, wrapper)
    assert torch.equal(weights(model), before), 'no step before the second batch'
    model.train_step(y, wrapper)
    assert not torch.equal(weights(model), before)
    whole.train_step(torch.cat([x, y]), sgd(whole))
    # Mean of the two means is the mean over both.
    assert torch.allclose(weights(model), weights(whole), atol=2e-3)
    assert set(model.types) == {torch.bfloat16}


def test_gradients_are_clipped():
    model = Model()
    before = weights(model)
    model.train_step(100 * torch.randn(8, 4), sgd(model, clip_grad=dict(max_norm=0.01)))
    assert 0 < (weights(model) - before).norm() <= 0.1 * 0.01 + 1e-6


def test_it_is_found_in_the_registry():
    optimizer = torch.optim.SGD(Model().parameters(), lr=0.1)
    wrapper = OPTIM_WRAPPERS.build(dict(type='BFloat16OptimWrapper', optimizer=optimizer))
    assert isinstance(wrapper, BFloat16OptimWrapper)
