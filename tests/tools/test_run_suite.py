"""tools/run_suite.py: two rows and two seeds end to end, gone on with, changed, failing, stopped.

The trainings of a suite share a process here, as importing everything costs seconds in each.
"""

import csv
import io
import json
import os
import re
import runpy
import signal
import sys
import threading
import time
from contextlib import redirect_stderr, redirect_stdout
from itertools import chain
from statistics import fmean, stdev
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from one_process import ROOT, TOOLS, environment, shell, table

from mmseg_textseg.apis import load_config
from mmseg_textseg.apis.suite import measure, record, suite
from mmseg_textseg.apis.suite.processes import Children, Ended
from mmseg_textseg.datasets.phantom import make_phantom

CONFIG = """
_base_ = '{root}/configs/phantom/lsms-xs_phantom_96x96.py'
model = dict(
    text_encoder=dict(
        tokenizer=dict(build_from='{data}/train.jsonl'),
        arch=dict(hidden_size=16, num_attention_heads=2, intermediate_size=32, num_hidden_layers=1),
    ),
    backbone=dict(
        arch=dict(_delete_=True, widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratios=(2, 2, 2, 2))
    ),
    decode_head=dict(
        in_channels=[16, 24, 32], ham_channels=16, channels=16, rank=4, norm_cfg=dict(type='GN', num_groups=4)
    ),
)
loader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}', indices=6))
train_dataloader = loader
val_dataloader = loader
test_dataloader = loader
# What two iterations learn is next to nothing: half of a picture is above this probability.
test_evaluator = dict(threshold=0.496)
"""
ROWS = {
    'no-contrast': 'model = dict(decode_head=dict(loss_contrast=None))',
    'bad-hook': "custom_hooks = [dict(type='NoSuchHook')]",
    'bad-head': 'model = dict(decode_head=dict(in_channels=[16, 24]))',
}
# The next training of a process would log into this one's folder.
FORGET = """
from mmseg.visualization import SegLocalVisualizer
for kind in (SegLocalVisualizer, *SegLocalVisualizer.__subclasses__()):
    kind._instance_dict.clear()
"""


class OneProcess(Children):
    """Children that share a process, but for the measuring, which this one does."""

    started: list
    shell: object
    forget: str

    def run(self, command, log):
        self.started.append(command)
        code, said = 0, ''
        if command[0] == '-m':
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, 'argv', command[1:])
                measure.main()
        else:
            end = self.shell(*command)
            self.shell(self.forget)
            code, said = end.code, end.output
        with log.open('a') as file:
            file.write(said)
        return Ended(code, 1.0, 500)


@pytest.fixture(scope='module')
def place(tmp_path_factory) -> SimpleNamespace:
    """Folder, base config, folder of rows."""
    here = tmp_path_factory.mktemp('suite')
    data = here / 'phantom'
    sizes = dict(size=64, slices_per_case=(2, 2), lesions=(1, 2), splits=(0.4, 0.2, 0.4))
    make_phantom(data, 6, difficulty='easy', progress=False, **sizes)
    (here / 'tiny.py').write_text(CONFIG.format(root=ROOT.as_posix(), data=data.as_posix()))
    (here / 'rows').mkdir()
    for name, text in ROWS.items():
        (here / 'rows' / f'{name}_x_64x64.py').write_text(f"_base_ = ['../somewhere.py']\n{text}\n")
    (here / 'forget.py').write_text(FORGET)
    return SimpleNamespace(here=here, base=here / 'tiny.py', rows=here / 'rows', out=here / 'out')


@pytest.fixture(scope='module')
def run(place, tmp_path_factory):
    """Function (arguments, kind of children) -> how the tool ended, what it said, which children it started."""
    with shell(place.here, environment(tmp_path_factory.mktemp('site'))) as in_shell:

        def run(*arguments, children=OneProcess):
            started, text, handler = [], io.StringIO(), signal.getsignal(signal.SIGTERM)
            OneProcess.started, OneProcess.shell = started, staticmethod(in_shell)
            OneProcess.forget = str(place.here / 'forget.py')
            with pytest.MonkeyPatch.context() as patch, redirect_stdout(text), redirect_stderr(text):
                patch.setattr(suite, 'Children', children)
                patch.setattr('gc.collect', lambda *_: 0)  # statsmodels', in each correction
                patch.chdir(place.here)
                patch.setattr(sys, 'argv', [str(TOOLS / 'run_suite.py'), *map(str, arguments)])
                try:
                    runpy.run_path(sys.argv[0], run_name='__main__')
                    code = 0
                except SystemExit as stop:
                    code = stop.code
                finally:
                    signal.signal(signal.SIGTERM, handler)
            return SimpleNamespace(code=code, text=text.getvalue(), started=started)

        yield run


@pytest.fixture(scope='module')
def done(place, run) -> SimpleNamespace:
    """A suite of four rows, two of which fail, two seeds, two iterations."""
    place.arguments = (place.rows, '--base', place.base, '--budget', '2it', '--seeds', '2', '--out', place.out)
    place.first = run(*place.arguments)
    place.records = json.loads((place.out / 'suite.json').read_text())
    place.table = list(csv.DictReader((place.out / 'suite.csv').open()))
    return place


pytestmark = pytest.mark.slow


def test_a_suite_end_to_end(done):
    assert done.first.code == 1  # two rows failed
    assert [row['row'] for row in done.table] == ['full', 'bad-head', 'bad-hook', 'no-contrast']
    full, _, _, other = done.table
    means = {}
    for row in (full, other):
        told = [json.loads((done.out / row['row'] / f'seed{s}' / 'metrics.json').read_text()) for s in (0, 1)]
        for metric in ('dice', 'iou'):
            found = [one['protocols']['lvit'][metric] for one in told]
            assert float(row[metric]) == pytest.approx(fmean(found), abs=1e-6)
            assert float(row[f'{metric}_sd']) == pytest.approx(stdev(found), abs=1e-6)
        means[row['row']] = float(row['dice'])
        assert (row['seeds'], row['of_seeds'], row['iterations'], row['failure']) == ('2', '2', '2', '')
        assert all(float(row[key]) > 0 for key in ('gmacs', 'latency', 'images_per_second', 'seconds'))
    # Else the comparison would be of nothing.
    assert means['full'] > 0.01
    assert means['full'] != means['no-contrast']
    assert float(other['dice_difference']) == pytest.approx(means['no-contrast'] - means['full'], abs=1e-6)
    assert (
        float(other['dice_difference_low']) <= float(other['dice_difference']) <= float(other['dice_difference_high'])
    )
    assert full['dice_difference'] == ''
    assert re.search(r'\| full +\| +\d+\.\d\d ± \d+\.\d\d \|', done.first.text)
    assert (done.out / 'suite.md').read_text() in done.first.text
    assert all((done.out / f'{metric}.png').read_bytes().startswith(b'\x89PNG') for metric in ('dice', 'iou'))


def test_items_are_averaged_over_seeds_before_they_are_compared(done):
    rows = [[table(done.out / name / f'seed{s}') for s in (0, 1)] for name in ('full', 'no-contrast')]
    assert len(rows[0][0]) == 6
    told = done.records['leaderboard']
    assert (told['items'], told['reference']) == (6, 'full')
    (pair,) = [one for one in told['comparisons'] if one['metric'] == 'dice']
    (mine, theirs) = ([fmean(float(row['dice']) for row in item) for item in zip(*one, strict=True)] for one in rows)
    assert pair['difference'] == pytest.approx(fmean(theirs) - fmean(mine), abs=1e-6)


def test_parameters_are_those_of_the_model(done):
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(load_config(str(done.base)).model)
    assert int(done.table[0]['parameters']) == sum(p.numel() for p in model.parameters())


def test_a_runs_config_is_whole_and_its_own(done):
    config = done.out / 'no-contrast' / 'seed1' / 'no-contrast.py'
    cfg = Config.fromfile(config)
    assert cfg.model.decode_head.loss_contrast is None
    assert (cfg.train_cfg.max_iters, cfg.randomness.seed) == (2, 1)
    kept = json.loads((config.parent / 'run.json').read_text())
    assert record.flat_config(cfg) == kept['config']
    assert 'save_best' not in kept['config']
    assert (kept['tested'], kept['trained']) == ('last', True)
    trained = Config.fromfile(config.parent / 'work' / 'no-contrast.py')
    assert trained.default_hooks.checkpoint == cfg.default_hooks.checkpoint


def test_failures_are_recorded_and_the_others_go_on(done):
    failures = {row['row']: row['failure'] for row in done.records['rows']}
    assert failures['full'] == failures['no-contrast'] == ''
    assert 'Error' in failures['bad-head']
    assert re.search(r'^seed 0 failed in train, .*train\.log: .*NoSuchHook', failures['bad-hook'])
    kept = json.loads((done.out / 'bad-hook' / 'seed1' / 'run.json').read_text())
    assert kept['failure']['code'] == 1
    assert kept['failure']['step'] == 'train'
    assert 'NoSuchHook' in ' '.join(kept['failure']['lines'])
    assert 'cannot run bad-head' in done.first.text
    assert 'bad-hook seed 0 FAILED: train' in done.first.text
    assert re.search(r'\| bad-hook +\| +failed \|', done.first.text)


def test_another_config_is_refused_and_redone(done, run):
    files = sorted(done.out.rglob('metrics.json'))
    before = [(path, path.stat().st_mtime_ns) for path in files]
    end = run(*done.arguments, '--cfg-options', 'train_dataloader.batch_size=1')
    assert 'ChangedError: full in ' in end.code
    assert 'train_dataloader.batch_size: 2 -> 1' in end.code
    assert end.started == []
    end = run(done.rows, '--base', done.base, '--budget', '3it', '--seeds', '1', '--out', done.out)
    assert 'full seed 0 in ' in end.code
    assert 'train_cfg.max_iters: 2 -> 3' in end.code
    # A row that is mended is another row.
    (done.rows / 'bad-hook_x_64x64.py').write_text("_base_ = ['../somewhere.py']\nfind_unused_parameters = False\n")
    (done.rows / 'bad-head_x_64x64.py').unlink()
    end = run(*done.arguments)
    assert 'bad-hook in' in end.code
    assert 'custom_hooks.0.type' in end.code
    end = run(*done.arguments, '--redo', '--seeds', '1')
    assert end.code == 0, end.text
    trained = [command[1] for command in end.started if command[0].endswith('train.py')]
    assert [os.path.relpath(path, done.out) for path in trained] == ['bad-hook/seed0/bad-hook.py']
    assert before == [(path, path.stat().st_mtime_ns) for path in files]
    # It changes nothing, so it trains to the very same as the reference, from the same seed.
    rows = {row['row']: row for row in csv.DictReader((done.out / 'suite.csv').open())}
    assert float(rows['bad-hook']['dice_difference']) == 0


def test_a_finished_suite_only_makes_its_table(done, run):
    before = (done.out / 'suite.csv').read_bytes()
    end = run(*done.arguments, '--seeds', '1')
    assert (end.code, end.started) == (0, [])
    assert '3 runs, 3 of them finished before' in end.text
    assert (done.out / 'suite.csv').read_bytes() == before


def test_stopped_and_gone_on_with(place, run):
    out = place.here / 'stopped'
    arguments = (place.base, '--budget', '30it', '--seeds', '7,', '--validations', '2', '--out', out)
    last = out / 'tiny' / 'seed7' / 'work' / 'last_checkpoint'

    class TrainsItself(OneProcess):
        def run(self, command, log):
            if command[0].endswith('train.py'):
                threading.Thread(target=interrupt).start()
                return Children.run(self, command, log)
            return super().run(command, log)

    def interrupt():
        while not any(path.stat().st_size for path in last.parent.glob('*/vis_data/scalars.json')):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    end = run(*arguments, children=TrainsItself)
    assert end.code == 130
    assert 'stopped; the same command goes on from here' in end.text
    assert not (last.parents[1] / 'metrics.json').exists()
    # A training that is told to end saves where it is.
    assert last.read_text().endswith('interrupted.pth')
    reached = torch.load(last.parent / 'interrupted.pth', weights_only=False)['meta']['iter']
    assert 0 < reached < 30
    end = run(*arguments)
    assert end.code == 0, end.text
    assert f'resumed epoch: 0, iter: {reached}' in (last.parents[1] / 'train.log').read_text()
    assert '30 iterations, going on' in end.text
    logs = chain.from_iterable(path.read_text().splitlines() for path in last.parent.glob('*/vis_data/scalars.json'))
    assert max(line.get('step', 0) for line in map(json.loads, logs)) == 30
    # With several validations the best one is tested.
    (best,) = last.parent.glob('best_dice_*.pth')
    told = json.loads((last.parents[1] / 'metrics.json').read_text())
    assert told['checkpoint']['path'] == str(best)


def test_bad_input_is_told_without_a_traceback(place, run, tmp_path):
    for arguments, words in (
        ([tmp_path, '--budget', '2it'], 'ConfigError: no config'),
        ([place.base, '--budget', '2'], "ConfigError: --budget '2': expected iterations (800it)"),
        ([place.base, '--budget', '2it', '--seeds', 'x'], "ConfigError: --seeds 'x'"),
        ([place.base, '--budget', '2it', '--data', 'moon'], '--data moon: expected one of phantom, busi, monuseg'),
        ([place.base, '--budget', '2it', '--cfg-options', 'resume=True'], '--cfg-options resume: a suite sets it'),
    ):
        end = run(*arguments, '--out', tmp_path / 'out')
        assert words in end.code
        assert end.started == []
    (tmp_path / 'row.py').write_text(f'_base_ = {str(place.base)!r}\nmodel = dict(a=_base_.nothing)\n')
    end = run(tmp_path / 'row.py', '--budget', '2it', '--out', tmp_path / 'out')
    assert end.code.startswith('ConfigError: no row can run:\n  row: ')


def test_no_suite_without_its_reference(place, run, tmp_path):
    there, gone = (f'train_dataloader = dict(dataset=dict(data_root={str(path)!r}))' for path in ('DATA', tmp_path))
    (tmp_path / 'base.py').write_text(f'_base_ = {str(place.base)!r}\n{gone}\n')
    (tmp_path / 'row.py').write_text(f'_base_ = "base.py"\n{there}\n'.replace('DATA', str(place.here / 'phantom')))
    end = run(tmp_path / 'row.py', '--base', tmp_path / 'base.py', '--budget', '2it', '--out', tmp_path / 'out')
    assert re.match('ConfigError: the reference, full: .*no annotation table', end.code)
    assert end.started == []


@pytest.mark.parametrize('words', [('--jobs', '0'), ('--validations', '0'), ('--threads', '-1'), ('--data', 'busi')])
def test_bad_arguments(place, run, words):
    more = ['--base', place.base] if words[0] == '--data' else []
    end = run(place.base, '--budget', '2it', '--out', place.here / 'no', *words, *more)
    assert end.code == 2
    assert 'expected 1 or more' in end.text or 'not allowed with' in end.text
