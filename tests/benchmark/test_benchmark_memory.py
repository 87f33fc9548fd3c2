"""Peak bytes of calls whose allocations are known."""

import gc
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import DefaultScope

from mmseg_textseg.benchmark import Group, cases, memory

MB = 1_000_000
linux = pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='memory of the process is read on Linux')


@pytest.fixture(autouse=True)
def _quick_collection(monkeypatch):
    """Seconds with all that tests have loaded."""
    monkeypatch.setattr(gc, 'collect', lambda *_: 0)


def array(megabytes):
    return torch.empty(megabytes * MB, dtype=torch.uint8)


def test_tensors_that_live_at_once():
    def call():
        a = array(3)
        b = array(2)
        del a
        c = array(1)  # 5 before, 3 now
        return b, c

    assert memory.tensor_peak(call) == 5 * MB


def test_it_is_over_the_start():
    kept = array(7)
    assert memory.tensor_peak(lambda: kept.add_(1)) < 1000
    assert memory.tensor_peak(lambda: (array(1), array(4))) == 5 * MB
    assert memory.tensor_peak(lambda: None) == 0


def test_what_backward_keeps():
    x = torch.randn(1000, 250, requires_grad=True)  # 1 MB

    def call():
        x.grad = None
        y = x.exp()  # kept for backward
        y.sum().backward()

    # exp(x), the gradient of the sum, which is expanded, and the product of both.
    assert 2 * MB <= memory.tensor_peak(call) < 2.1 * MB


@linux
def test_growth_of_the_process():
    assert 40 * MB < memory.process_peak(lambda: array(50).fill_(1)) < 60 * MB
    # The peak before does not hide what is smaller.
    assert 15 * MB < memory.process_peak(lambda: array(20).fill_(1)) < 30 * MB
    assert memory.process_peak(lambda: None) < 5 * MB


@linux
@pytest.mark.slow
def test_in_a_process_of_its_own():
    options = dict(sizes=[32, 256], batches=[1])
    group = Group('squeeze/256/1', '', {'resize, then squeeze': list}, 'resize, then squeeze')
    found = memory.process_peak_of('parts', options, group, 'resize, then squeeze')
    # Three maps of 64 x 64 and 960 channels in all, and what is made of them.
    assert 4 * 960 * 64 * 64 < found < 20 * 4 * 960 * 64 * 64


@linux
def test_a_process_that_fails(monkeypatch):
    lines = '\n'.join(f'line {number}' for number in range(9))
    monkeypatch.setattr(memory.subprocess, 'run', lambda *_, **__: SimpleNamespace(returncode=3, stderr=lines))
    with pytest.raises(RuntimeError, match=r'(?s)^a/1, one: its process ended with 3: line 4\n.*line 8$'):
        memory.process_peak_of('parts', {}, Group('a/1', '', dict(one=list), 'one'), 'one')


def test_a_group_that_is_not_there(monkeypatch):
    monkeypatch.setattr(cases, 'groups', lambda *_: iter(()))
    request = dict(case='parts', options={}, group='a/1', contender='one', threads=1)
    monkeypatch.setattr(memory.sys, 'argv', ['', json.dumps(request)])
    with DefaultScope.overwrite_default_scope('mmseg'), pytest.raises(KeyError, match='parts has no group a/1'):
        memory.main()
