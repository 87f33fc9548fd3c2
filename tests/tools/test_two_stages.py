"""MPTPN's two stages through the command-line tools, on a few made-up slices."""

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from one_process import ROOT, TOOLS, environment, shell, steps, table

from mmseg_textseg.datasets.phantom import make_phantom
from mmseg_textseg.models import SVLAEncoder

pytestmark = pytest.mark.slow

FIRST, SECOND = 'ppe-simsiam-c8_phantom_96x96', 'mptpn-c8_phantom_96x96'
STAGE1 = """
_base_ = '{root}/configs/phantom/ppe-simsiam-c8_phantom_96x96.py'
model = dict(text_encoder=dict(tokenizer=dict(build_from='{data}/train.jsonl')))
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}', indices=4)
)
default_hooks = dict(logger=dict(interval=1))
"""
STAGE2 = """
_base_ = '{root}/configs/phantom/mptpn-c8_phantom_96x96.py'
model = dict(text_encoder=dict(tokenizer=dict(build_from='{data}/train.jsonl')))
loader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}', indices=4))
train_dataloader = loader
val_dataloader = loader
test_dataloader = loader
default_hooks = dict(logger=dict(interval=1))
"""
# Of both stages: a few iterations, less of an encoder.
OPTIONS = [
    'train_cfg.max_iters=3',
    'model.backbone.num_heads=2',
    'model.text_encoder.arch.num_hidden_layers=1',
    'model.text_encoder.arch.intermediate_size=64',
]

# Runs a tool; the tools that it starts share its process, as importing everything costs seconds in each.
IN_ONE_PROCESS = f"""
import os, runpy, subprocess, sys
from types import SimpleNamespace
start = subprocess.run
def run(command, cwd=None, **options):
    if command[0] != sys.executable or not command[1].startswith('tools/'):
        return start(command, cwd=cwd, **options)
    before, here, code = sys.argv, os.getcwd(), 0
    os.chdir(cwd)
    sys.argv = command[1:]
    try:
        runpy.run_path(command[1], run_name='__main__')
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    os.chdir(here)
    sys.argv = before
    if 'mmseg.visualization' in sys.modules:  # one a process: the next run would log into this one's folder
        stock = sys.modules['mmseg.visualization'].SegLocalVisualizer
        for kind in (stock, *stock.__subclasses__()):
            kind._instance_dict.clear()
    return SimpleNamespace(returncode=code)
subprocess.run = run
sys.path.insert(0, {str(TOOLS)!r})
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.fixture(scope='module')
def env(tmp_path_factory) -> dict[str, str]:
    return environment(tmp_path_factory.mktemp('site'))


@pytest.fixture(scope='module')
def place(tmp_path_factory) -> SimpleNamespace:
    """Folder of the runs; data, configs."""
    here = tmp_path_factory.mktemp('stages')
    data = here / 'phantom'
    sizes = dict(size=64, slices_per_case=(2, 2), lesions=(1, 2), splits=(0.4, 0.2, 0.4))
    make_phantom(data, 6, difficulty='easy', progress=False, **sizes)
    made = SimpleNamespace(here=here, data=data, stage1=here / 'first.py', stage2=here / 'second.py')
    for path, text in ((made.stage1, STAGE1), (made.stage2, STAGE2)):
        path.write_text(text.format(root=ROOT.as_posix(), data=data.as_posix()))
    return made


@pytest.fixture(scope='module')
def done(place, env) -> SimpleNamespace:
    """Both stages, the control and three evaluations."""
    place.work = place.here / 'work'
    place.argv = [str(TOOLS / 'two_stages.py'), str(place.stage1), str(place.stage2), '--work-dir', str(place.work)]
    place.argv += ['--control', '--options', *OPTIONS]
    command = [sys.executable, '-c', IN_ONE_PROCESS, *place.argv]
    end = subprocess.run(command, cwd=place.here, env=env, capture_output=True, text=True)
    assert end.returncode == 0, end.stdout[-3000:] + end.stderr[-3000:]
    place.output = end.stdout
    place.summary = json.loads((place.work / 'summary.json').read_text())
    place.checkpoint = place.work / 'stage1' / 'iter_3.pth'
    return place


@pytest.fixture(scope='module')
def run(done, env):
    """Tools in a process that they share."""
    with shell(done.here, env) as run:
        yield run


def metrics(folder: Path) -> dict:
    return json.loads((folder / 'metrics.json').read_text())


def log(work_dir: Path) -> str:
    (file,) = work_dir.glob('*/*.log')
    return file.read_text()


def test_summary_says_what_the_evaluations_found(done):
    folders = {
        'from stage 1': done.work / 'stage2' / 'right_text',
        'from stage 1, shuffled sentences': done.work / 'stage2' / 'shuffled_text',
        'from random weights': done.work / 'control' / 'right_text',
    }
    assert done.summary['stage2'] == {name: metrics(folder) for name, folder in folders.items()}
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in done.output.splitlines() if '|' in line]
    for name, folder in folders.items():
        scores = done.summary['stage2'][name]
        assert scores['conditions']['shuffled_text'] == ('shuffled' in name)
        part = 'control' if 'random' in name else 'stage2'
        assert scores['checkpoint']['path'] == str(done.work / part / 'iter_3.pth')
        assert scores['items'] == len(table(folder)) == 4
        row = next(cells for cells in rows if cells[0] == name)
        found = scores['protocols']
        values = [found['lvit'][key] for key in ('dice', 'iou')]
        values += [found['two-class'][key] for key in ('miou', 'acc', 'precision', 'recall')]
        assert row[1:] == [f'{100 * value:.2f}' for value in values]


def test_summary_says_how_stage_1_went(done):
    lines = [line for line in steps(done.work / 'stage1') if 'loss_simsiam' in line]
    assert [line['step'] for line in lines] == [1, 2, 3]
    keys = {'loss_simsiam', 'spread_1', 'spread_2', 'spread_3'}
    assert done.summary['stage1'].keys() == keys
    assert done.summary['stage1'] == {key: [lines[0][key], lines[-1][key]] for key in keys}
    assert all(line[f'spread_{i}'] > 0.01 for line in lines for i in (1, 2, 3))
    assert done.summary['seconds'].keys() == {'stage1', 'stage2', 'control'}
    assert all(seconds > 0 for seconds in done.summary['seconds'].values())


def test_stage_2_starts_from_stage_1_and_the_control_does_not(done):
    assert [line['step'] for line in steps(done.work / 'stage2') if 'loss' in line] == [1, 2, 3]
    said = log(done.work / 'stage2')
    for part, name in (('backbone', 'PPE'), ('text_encoder', 'BertTextEncoder')):
        (line,) = re.findall(rf"{name} from '{done.checkpoint}' under prefix '{part}\.': (.*)", said)
        assert re.match(r'\d+ keys matched; 0 of the model keep their own initialisation \(none\); 0 of the file', line)
    assert 'keys matched' not in log(done.work / 'control')
    first, second, control = (
        torch.load(done.work / name / 'iter_3.pth', weights_only=False)['state_dict']
        for name in ('stage1', 'stage2', 'control')
    )
    # Three steps do not go far; 'extra state' is the vocabulary.
    shared = [k for k in first if k.startswith(('backbone.', 'text_encoder.')) and k.endswith('weight')]
    near, far = (sum((first[k] - other[k]).norm() for k in shared) for other in (second, control))
    assert near < 0.5 * far
    assert torch.equal(first['text_encoder._extra_state'], second['text_encoder._extra_state'])


@pytest.fixture
def again(done, monkeypatch):
    """Function () -> commands that tools/two_stages.py runs when started again; they are recorded only."""

    def start() -> list[tuple[str, ...]]:
        commands = []
        monkeypatch.syspath_prepend(str(TOOLS))
        monkeypatch.delitem(sys.modules, '_steps', raising=False)
        import _steps

        monkeypatch.setattr(_steps, 'run', lambda *command: commands.append(command))
        monkeypatch.setattr(sys, 'argv', done.argv)
        runpy.run_path(done.argv[0], run_name='__main__')
        return commands

    return start


def test_nothing_finished_is_repeated(done, again, capsys):
    assert again() == []
    assert json.loads((done.work / 'summary.json').read_text()) == done.summary
    assert capsys.readouterr().out.strip() in done.output


def test_an_interrupted_stage_goes_on(done, again):
    record = done.work / 'stage2' / 'run.json'
    finished = record.read_text()
    record.write_text(json.dumps(dict(command=json.loads(finished)['command'])))
    try:
        (train,) = (command for command in again() if command[0] == 'tools/train.py')
    finally:
        record.write_text(finished)
        (done.work / 'summary.json').write_text(json.dumps(done.summary))
    assert train[1:4] == (str(done.stage2), '--work-dir', str(done.work / 'stage2'))
    assert '--resume' in train
    assert train[train.index('--init-from') + 1] == str(done.checkpoint)
    assert train[train.index('--cfg-options') + 1 :] == tuple(OPTIONS)


def test_a_folder_of_another_run_is_refused(done, again):
    record = done.work / 'stage2' / 'run.json'
    finished = record.read_text()
    record.write_text(json.dumps({**json.loads(finished), 'command': ['another.py']}))
    try:
        with pytest.raises(SystemExit, match=r'stage2 is of another run \(another\.py\): delete it'):
            again()
    finally:
        record.write_text(finished)


# What cannot run


def plain_error(end: SimpleNamespace) -> str:
    """The one line that a tool ends with, whatever the Runner has logged before."""
    assert end.code == 1
    assert 'Traceback' not in end.output
    *_, line = filter(None, end.output.splitlines())
    assert len(re.findall(r'^\w*Error: ', end.output, re.MULTILINE)) == 1, end.output[-2000:]
    return line


def test_a_collapse_ends_in_one_plain_error(done, run):
    work = done.here / 'collapsed'
    options = [*OPTIONS, 'custom_hooks.0.threshold=1000', 'custom_hooks.0.patience=1']
    end = run(TOOLS / 'train.py', done.stage1, '--work-dir', work, '--cfg-options', *options)
    line = plain_error(end)
    assert line.startswith('CollapseError: the encodings have collapsed at iteration 2: spread_1 ')
    assert 'Try a lower learning rate' in line
    assert [entry['step'] for entry in steps(work)] == [1, 2], 'the log has the figures'


def test_more_images_a_batch_than_there_are(done, run):
    config = done.here / 'large.py'
    config.write_text(
        f'_base_ = [{str(done.stage1)!r}]\n'
        "train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=1)\n"
        "train_dataloader = dict(batch_size=1000, sampler=dict(type='DefaultSampler', shuffle=True))\n"
        "param_scheduler = [dict(type='CosineAnnealingLR', T_max=1, by_epoch=True, convert_to_iter_based=True)]\n"
    )
    options = OPTIONS[1:]
    end = run(TOOLS / 'train.py', config, '--work-dir', done.here / 'never', '--cfg-options', *options)
    assert plain_error(end).startswith('ConfigError: an epoch has no batch: with drop_last=True')


def test_resume_goes_on_without_stage_1(done, run):
    """The config names a checkpoint of stage 1 that is not there, and --init-from is not said again."""
    work = done.here / 'resumed'
    shutil.copytree(done.work / 'stage2', work)
    options = [*OPTIONS, 'train_cfg.max_iters=5']
    end = run(TOOLS / 'train.py', done.stage2, '--work-dir', work, '--resume', '--cfg-options', *options)
    assert end.code == 0, end.output[-2000:]
    assert (work / 'iter_5.pth').is_file()


def test_stage_1_has_nothing_to_test(done, run):
    end = run(TOOLS / 'test.py', done.stage1, done.checkpoint, '--work-dir', done.here / 'test')
    line = plain_error(end)
    assert line.startswith(f'ConfigError: {done.stage1} has no test_dataloader')


@pytest.mark.parametrize('which', ['another model', 'another width', 'no file'])
def test_a_checkpoint_that_does_not_fit_is_a_plain_error(done, run, which):
    path, options = done.here / 'other.pth', [*OPTIONS]
    if which == 'another model':
        arch = dict(widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratios=(2, 2, 2, 2))
        state = SVLAEncoder(arch, text_channels=None).state_dict()
        torch.save(dict(state_dict={f'backbone.{key}': value for key, value in state.items()}), path)
        said = [f"WeightsError: no key of '{path}' under prefix 'backbone.' matches PPE"]
    elif which == 'another width':
        wider = ['model.backbone.base_channels=16', 'model.decode_head.in_channels=[16,32,64]']
        path, options = done.checkpoint, [*OPTIONS, *wider]
        said = ['WeightsError: ', 'stem.conv.weight (8, 3, 3, 3) instead of (16, 3, 3, 3)']
    else:
        path = done.here / 'gone.pth'
        said = [f'ConfigError: no checkpoint at {path}']
    argv = ['--work-dir', done.here / 'never', '--init-from', path, '--cfg-options', *options]
    end = run(TOOLS / 'train.py', done.stage2, *argv)
    line = plain_error(end)
    assert all(words in line for words in said), line
    assert not list((done.here / 'never').glob('*.pth'))
