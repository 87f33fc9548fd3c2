"""Losses, gradients and weights that are no numbers."""

import pytest
import torch
from small_training import At, runner_of

from mmseg_textseg.engine import NonFiniteError, NonFiniteLossHook
from mmseg_textseg.engine.non_finite import _plain


def test_views_of_stage_1_are_kept_too():
    """Their inputs are lists of lists."""
    kept = _plain([[torch.ones(1)], [torch.zeros(2)]])
    assert [len(view) for view in kept] == [1, 1]


def test_a_loss_that_is_no_number_stops_before_the_weights(tmp_path):
    two = runner_of(tmp_path / 'two', length=2)
    two.train()
    before = two.model.state_dict()
    runner = runner_of(tmp_path, model=dict(type='SmallModel', bad_at=(3,)))
    with pytest.raises(NonFiniteError, match=r'loss of iteration 3 is not finite.*non_finite.*action=skip'):
        runner.train()
    for name, value in runner.model.named_parameters():
        assert torch.equal(value, before[name])
    (path,) = (tmp_path / 'non_finite').iterdir()
    assert path.name == 'iter_3_rank_0.pth'
    kept = torch.load(path, weights_only=True)
    assert kept['iteration'] == 3
    assert torch.isnan(kept['loss'])
    assert torch.equal(torch.stack(kept['inputs'][0]), runner.model.seen[-1])


def test_bad_batches_are_passed_over_by_option(tmp_path):
    hooks = dict(non_finite=dict(type='NonFiniteLossHook', action='skip', max_skips=2))
    runner = runner_of(tmp_path, model=dict(type='SmallModel', bad_at=(2, 3, 5)), default_hooks=hooks)
    runner.train()
    assert len(list((tmp_path / 'non_finite').iterdir())) == 3
    assert all(torch.isfinite(value).all() for value in runner.model.state_dict().values()), 'running means as well'
    assert runner.model.layers[2].num_batches_tracked == 5
    again = runner_of(tmp_path / 'more', model=dict(type='SmallModel', bad_at=(2, 3, 4)), default_hooks=hooks)
    with pytest.raises(NonFiniteError, match=r'iteration 4.*max_skips=2 allows no more'):
        again.train()


def test_a_gradient_that_is_no_number_stops_as_well(tmp_path):
    runner = runner_of(tmp_path)
    weight = runner.model.layers[3].weight
    weight.register_hook(lambda gradient: gradient * float('inf'))
    before = weight.detach().clone()
    with pytest.raises(NonFiniteError, match=r'the gradient of iteration 1 is not finite'):
        runner.train()
    assert torch.equal(weight, before)


def test_weights_that_are_no_numbers_are_not_saved_over_good_ones(tmp_path):
    def poison(runner):
        runner.model.layers[3].weight.data[0, 1] = float('inf')

    with pytest.raises(NonFiniteError, match=r'1 weights are not finite \(layers.3.weight'):
        runner_of(tmp_path, interval=2, custom_hooks=[At(4, poison)]).train()
    assert [path.name for path in tmp_path.glob('*.pth*')] == ['iter_2.pth']


def test_an_unknown_action_is_refused():
    with pytest.raises(ValueError, match=r"action='ignore'.*stop, skip"):
        NonFiniteLossHook(action='ignore')
