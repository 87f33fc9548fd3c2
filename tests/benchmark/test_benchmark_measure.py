"""Contenders in turn, ratios within rounds, operations and bytes worked out by hand; peaks of the machine."""

import gc
from functools import partial

import pytest
import torch

from mmseg_textseg.benchmark import Group, machine, measure

TIMES = dict(a=[9.0, 2.0, 8.0, 3.0], b=[9.0, 1.0, 2.0, 6.0])


@pytest.fixture(autouse=True)
def _quick_collection(monkeypatch):
    """Seconds with all that tests have loaded."""
    monkeypatch.setattr(gc, 'collect', lambda *_: 0)


@pytest.fixture
def played(monkeypatch):
    """A group whose calls take the times above; the order of what was called."""
    order, left = [], {name: iter(times) for name, times in TIMES.items()}

    def act(name):
        order.append(name)
        assert not gc.isenabled()
        return next(left[name])

    monkeypatch.setattr(measure, 'clock', lambda call: call())
    return Group('g', 'job', {name: partial(act, name) for name in TIMES}, 'a'), order


def test_in_turn_and_turned_each_round(played):
    group, order = played
    assert measure.time_contenders(group, repeats=3) == dict(a=[2.0, 8.0, 3.0], b=[1.0, 2.0, 6.0])
    assert ''.join(order) == 'ba' + 'ab' + 'ba' + 'ab'
    assert gc.isenabled()


def test_ratio_is_of_rounds_not_of_medians():
    seconds = dict(a=[2.0, 8.0, 3.0], b=[1.0, 2.0, 6.0])
    # 2, 4 and 0.5; of the medians it would be 1.5.
    assert measure.ratio(seconds, 'a', 'b') == measure.Spread(median=2.0, low=1.25, high=3.0, least=0.5)
    assert measure.ratio(seconds, 'a', 'a') == measure.Spread(1.0, 1.0, 1.0, 1.0)


def test_spread():
    assert measure.Spread.of([5.0, 1.0, 2.0, 4.0, 3.0]) == measure.Spread(median=3.0, low=2.0, high=4.0, least=1.0)


def test_operations_and_bytes():
    a, b = torch.randn(32, 64), torch.randn(64, 16)
    group = Group('g', 'job', dict(one=lambda: a @ b, twice=lambda: (a @ b) + (a @ b)), 'one', dict(pixels=4))
    found = measure.measure(group, repeats=2)
    assert {key: found[key] for key in ('name', 'job', 'reference', 'axis')} == dict(
        name='g', job='job', reference='one', axis=dict(pixels=4)
    )
    one, twice = found['contenders'].values()
    assert (one['flops'], twice['flops']) == (2 * 32 * 64 * 16, 4 * 32 * 64 * 16)
    # Both products and their sum live at once.
    assert (one['tensor_bytes'], twice['tensor_bytes']) == (4 * 32 * 16, 3 * 4 * 32 * 16)
    assert len(one['seconds']) == len(twice['seconds']) == 2
    assert min(one['seconds']) > 0


def test_what_cannot_be_looked_into_is_called_for_its_time_alone():
    calls = []
    group = Group('g', 'job', dict(one=lambda: calls.append(1)), 'one', traced=False)
    found = measure.measure(group, repeats=2, warmup=1)['contenders']['one']
    assert (found['flops'], found['tensor_bytes'], len(calls)) == (None, None, 3)


def test_a_reference_that_is_none():
    with pytest.raises(ValueError, match="g: reference 'c' is not among a, b"):
        Group('g', 'job', dict(a=list, b=list), 'c')


def test_peaks_are_the_best_call_of_all_sizes(monkeypatch):
    def clock(call):
        call()
        return next(times)

    monkeypatch.setattr(machine, 'clock', clock)
    # Two calls a size: of the products, then of each kind of convolution.
    times = iter([4.0, 2.0, 1.0, 8.0, 3.0, 2.0, 5.0, 4.0])
    found = machine.peaks(gemm_sides=(4, 2), conv_shapes=((3, 5),), repeats=2)
    assert found == pytest.approx(
        dict(gemm=2 * 4**3 / 2 / 1e9, conv3x3=2 * 25 * 9 * 9 / 2 / 1e9, conv1x1=2 * 25 * 9 / 4 / 1e9)
    )


def test_the_machine_is_told():
    found = machine.describe()
    assert found['threads'] == torch.get_num_threads()
    assert found['torch'] == torch.__version__
    assert found['processor']
