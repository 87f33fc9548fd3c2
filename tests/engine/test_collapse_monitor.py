from types import SimpleNamespace

import pytest
import torch
from mmseg.registry import HOOKS

from mmseg_textseg.engine.collapse_monitor import CollapseError, CollapseMonitorHook

NAN, INF = float('nan'), float('inf')


def run(hook, *figures, start=0):
    """One iteration for each figure, or tuple of figures, beside a loss and a learning rate."""
    for i, values in enumerate(figures, start):
        values = values if isinstance(values, tuple) else (values,)
        outputs = {f'spread_{k}': torch.tensor(v) for k, v in enumerate(values, 1)}
        hook.after_train_iter(SimpleNamespace(iter=i), i, None, {'loss': torch.tensor(-1.0), 'lr': 0.0, **outputs})


def test_patience():
    """Three below are let pass, the fourth is not; the bound itself is not below."""
    run(CollapseMonitorHook(0.25, 3), 1.0, 0.2, 0.2, 0.2, 0.25, 0.2, 0.2, 0.2, 1.0)
    with pytest.raises(CollapseError):
        run(CollapseMonitorHook(0.25, 3), 1.0, 0.2, 0.2, 0.2, 0.2)
    with pytest.raises(CollapseError):
        run(CollapseMonitorHook(0.25, 0), 0.2)


def test_raises_at_the_iteration_after_patience_and_not_before():
    hook = CollapseMonitorHook(0.25, 3)
    run(hook, 0.2, 0.2, 0.2)
    with pytest.raises(CollapseError, match='at iteration 4'):
        run(hook, 0.2, start=3)


@pytest.mark.parametrize('value', [NAN, INF])
def test_no_number_raises_at_once(value):
    with pytest.raises(CollapseError, match=f'iteration 2: spread_2 {value}'):
        run(CollapseMonitorHook(0.01, 50), (1.0, 1.0), (1.0, value))


def test_scales_are_counted_apart():
    """Each is below in turn, none for long; then the second alone is."""
    hook = CollapseMonitorHook(0.25, 1)
    run(hook, (0.1, 1.0), (1.0, 0.1), (0.1, 1.0), (1.0, 0.1))
    with pytest.raises(CollapseError) as error:
        run(hook, (0.1, 0.125), start=4)
    assert 'spread_2 0.12' in str(error.value)
    assert 'spread_1' not in str(error.value)


def test_the_error_names_figures_and_mends():
    with pytest.raises(CollapseError) as error:
        run(CollapseMonitorHook(0.02, 1), (0.5, 0.003), (0.5, 0.0012))
    text = str(error.value)
    for part in (
        'iteration 2',
        'spread_2 0.0012',
        'below 0.02',
        'more than 1 iterations',
        'learning rate',
        'larger batch',
    ):
        assert part in text


@pytest.mark.parametrize('outputs', [None, {}, {'loss': torch.tensor(1.0)}])
def test_a_model_without_spreads_is_refused(outputs):
    with pytest.raises(CollapseError, match=r'no spread_<i>.*PPESimSiam'):
        CollapseMonitorHook().after_train_iter(SimpleNamespace(iter=0), 0, None, outputs)


def test_is_registered_with_its_defaults():
    hook = HOOKS.build(dict(type='CollapseMonitorHook'))
    assert isinstance(hook, CollapseMonitorHook)
    assert (hook.threshold, hook.patience, hook.priority) == (0.01, 50, 'LOW')
