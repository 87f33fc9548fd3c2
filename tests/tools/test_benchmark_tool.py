"""tools/benchmark.py: what it writes, refuses, and keeps when something breaks."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope

from mmseg_textseg.benchmark import Group, cases, machine

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'benchmark.py'


@pytest.fixture(autouse=True)
def _quick_collection(monkeypatch):
    """Seconds with all that tests have loaded."""
    monkeypatch.setattr('gc.collect', lambda *_: 0)


@pytest.fixture
def benchmark(monkeypatch, capsys):
    """Function arguments -> exit status or message, what was printed, what went to stderr."""

    def run(*arguments):
        # The allocator is that of all tests in this process.
        options = ['--threads', '1', '--default-allocator']
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments), *options])
        with DefaultScope.overwrite_default_scope('mmseg'):
            try:
                runpy.run_path(str(TOOL), run_name='__main__')
                code = 0
            except SystemExit as stop:
                code = stop.code
        return (code, *capsys.readouterr())

    return run


def test_files_of_a_quick_run(benchmark, tmp_path):
    out = tmp_path / 'out'
    code, text, errors = benchmark('encoder', '--quick', '--out', out)
    assert code == 0, errors
    assert sorted(path.name for path in out.iterdir()) == ['benchmark.json', 'benchmark.md', 'ratios.png']
    record = json.loads((out / 'benchmark.json').read_text())
    assert record['command'] == ['encoder', '--quick', '--out', str(out), '--threads', '1', '--default-allocator']
    assert record['machine']['threads'] == torch.get_num_threads() == 1
    assert (record['repeats'], record['warmup'], record['failures']) == (1, 1, [])
    (group,) = record['groups']
    assert group['name'] == 'encoder/micro/64/1'
    for contender in group['contenders'].values():
        assert len(contender['seconds']) == 1
        assert contender['flops'] > 1e6
        assert contender['tensor_bytes'] > 1e4
    assert (out / 'benchmark.md').read_text() in text


def test_sweeps_of_configs(benchmark, tiny_config, tmp_path):
    arguments = ('--sizes', 64, 96, '--batches', 1, '--repeats', 2, '--quick', '--out', tmp_path)
    code, _, errors = benchmark('--configs', tiny_config, *arguments)
    assert code == 0, errors
    names = [group['name'] for group in json.loads((tmp_path / 'benchmark.json').read_text())['groups']]
    assert names == [f'configs-{job}/{size}/1' for job in ('predict', 'train') for size in (64, 96)]
    assert (tmp_path / 'growth.png').stat().st_size > 1000
    grown = (tmp_path / 'benchmark.md').read_text().split('## Growth')[1]
    assert re.search(r'configs-train +\| tiny +\| pixels +\| 4096, 9216 +\| batch 1', grown)


def test_the_machine_alone(benchmark):
    code, text, _ = benchmark('machine', '--quick')
    assert code == 0
    assert 'GFLOP/s: matrix products' in text


def test_what_breaks_stops_neither_the_others_nor_what_was_kept(benchmark, monkeypatch, tmp_path):
    def broken(case, options):
        yield Group(f'{case}/1', 'adds', dict(a=lambda: 1), 'a')
        if case == 'text':
            raise RuntimeError('no words')

    monkeypatch.setattr(cases, 'groups', broken)
    code, _, errors = benchmark('text', 'loading', '--quick', '--out', tmp_path)
    assert code == 1
    record = json.loads((tmp_path / 'benchmark.json').read_text())
    assert [group['name'] for group in record['groups']] == ['text/1', 'loading/1']
    assert record['failures'] == ['text: RuntimeError: no words']
    assert 'no words' in errors


def test_what_was_measured_is_there_when_it_is_stopped(benchmark, monkeypatch, tmp_path):
    def stopped(case, options):
        yield Group('first/1', 'adds', dict(a=lambda: 1), 'a')
        raise KeyboardInterrupt

    monkeypatch.setattr(cases, 'groups', stopped)
    with pytest.raises(KeyboardInterrupt):
        benchmark('text', '--quick', '--out', tmp_path)
    (group,) = json.loads((tmp_path / 'benchmark.json').read_text())['groups']
    assert group['name'] == 'first/1'


def test_cases_and_options(benchmark, monkeypatch):
    asked = []

    def note(case, options):
        asked.append((case, options))
        return iter(())

    monkeypatch.setattr(cases, 'groups', note)
    monkeypatch.setattr(machine, 'peaks', lambda: dict(gemm=1.0, conv3x3=1.0, conv1x1=1.0))
    assert benchmark('step', 'encoder', '--sizes', 32, '--variants', 'tiny')[0] == 0
    assert benchmark()[0] == 0
    assert benchmark('all', '--configs', 'a.py', '--cfg-options', 'model.text_encoder.frozen=True')[0] == 0
    chosen = [case for case, _ in asked]
    every = [
        'encoder',
        'lsms',
        'step',
        'parts',
        'text',
        'loading',
        'mptpn',
        'compile',
        'compile-encoder',
        'compile-step',
    ]
    assert chosen == ['encoder', 'step', *every, *every, 'configs']
    assert asked[0][1] == dict(sizes=[32], variants=['tiny'], threads=1, keep_memory=False)
    assert asked[2][1] == dict(threads=1, keep_memory=False)
    options = dict(configs=['a.py'], cfg_options={'model.text_encoder.frozen': True}, threads=1, keep_memory=False)
    assert asked[-1][1] == options


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (('speed',), 'no case speed; expected some of machine, encoder'),
        (('step', '--sizes', 0), '--sizes is 0; expected 1 or more'),
        (('step', '--repeats', 0), '--repeats is 0; expected 1 or more'),
        (('--cfg-options', 'a=1'), '--cfg-options are of --configs'),
    ],
)
def test_refusals(benchmark, arguments, said):
    code, _, errors = benchmark(*arguments)
    assert code == 2
    assert said in errors
