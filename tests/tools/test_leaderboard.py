"""tools/leaderboard.py: arguments, files, refusals."""

import csv
import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'leaderboard.py'
PACKAGE = 'mmseg_textseg.evaluation.comparison'


@pytest.fixture(autouse=True)
def _quick_correction(monkeypatch):
    """statsmodels collects garbage in each call of multipletests: half a second with all that tests have loaded."""
    monkeypatch.setattr('gc.collect', lambda *_: 0)


@pytest.fixture
def results(tmp_path):
    """Folder of three runs, one of them a control."""
    hard = np.random.default_rng(0).normal(0.6, 0.1, 24)
    for number, name in enumerate(('lsms', 'unet', 'shuffled')):
        dice = (hard - 0.1 * number + np.random.default_rng(number).normal(0, 0.03, 24)).round(6)
        folder = tmp_path / 'results' / name
        folder.mkdir(parents=True)
        with (folder / 'per_sample.csv').open('w', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(['sample_id', 'image', 'expression', 'dice', 'iou'])
            for i, value in enumerate(dice):
                text = f'lesion {i if name != "shuffled" else 23 - i}'
                writer.writerow([f's{i}', f'case{i // 6}_{i // 2}.png', text, value, round(value / (2 - value), 6)])
        told = dict(protocols=dict(lvit=dict(dice=dice.mean())), items=24, conditions=dict(shuffled_text=number == 2))
        (folder / 'metrics.json').write_text(json.dumps(told))
    return tmp_path / 'results'


@pytest.fixture
def leaderboard(monkeypatch, capsys):
    """Function arguments -> exit status or message, what was printed, what went to stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
            code = 0
        except SystemExit as stop:
            code = stop.code
        return (code, *capsys.readouterr())

    return run


def test_all_files(results, leaderboard, tmp_path):
    out = tmp_path / 'out'
    code, text, _ = leaderboard(results, '--out', out, '--resamples', 200)
    assert code == 0
    names = ['dice.png', 'iou.png', *(f'leaderboard.{end}' for end in ('csv', 'html', 'json', 'md'))]
    assert sorted(path.name for path in out.iterdir()) == names
    assert (out / 'leaderboard.md').read_text(encoding='utf-8') in text
    assert re.search(r'\| lsms \(reference\) +\| +\d\d\.\d\d \[\d\d\.\d\d, \d\d\.\d\d\]', text)
    told = json.loads((out / 'leaderboard.json').read_text(encoding='utf-8'))
    assert [run['name'] for run in told['runs']] == ['lsms', 'unet', 'shuffled']
    assert told['options']['resamples'] == 200
    assert 'data:image/png' in (out / 'leaderboard.html').read_text(encoding='utf-8')


def test_without_out_it_only_prints(results, leaderboard):
    before = sorted(results.parent.rglob('*'))
    code, text, _ = leaderboard(results, '--resamples', 200)
    assert code == 0
    assert '# Leaderboard' in text
    assert sorted(results.parent.rglob('*')) == before


def test_seeds_are_averaged(results, leaderboard, tmp_path):
    for number, name in enumerate(('lsms', 'unet')):
        (results / name).rename(results / f'seed{number}')
    (results / 'lsms').mkdir()
    for number in (0, 1):
        (results / f'seed{number}').rename(results / 'lsms' / f'seed{number}')
    code, _, _ = leaderboard(results, '--average-seeds', '--resamples', 100, '--out', tmp_path / 'out')
    assert code == 0
    with (tmp_path / 'out' / 'leaderboard.csv').open() as file:
        rows = {row['run']: float(row['dice']) for row in csv.DictReader(file)}
    told = [json.loads((results / 'lsms' / f'seed{n}' / 'metrics.json').read_text()) for n in (0, 1)]
    assert list(rows) == ['lsms', 'shuffled']
    assert rows['lsms'] == pytest.approx(np.mean([one['protocols']['lvit']['dice'] for one in told]), abs=1e-6)


def test_a_metric_without_values_has_no_picture(results, leaderboard, tmp_path):
    for folder in results.iterdir():
        lines = (folder / 'per_sample.csv').read_text().splitlines()
        (folder / 'per_sample.csv').write_text('\n'.join([f'{lines[0]},hd95', *(f'{line},' for line in lines[1:])]))
    code, text, _ = leaderboard(results, '--metrics', 'dice', 'hd95', '--resamples', 100, '--out', tmp_path / 'out')
    assert code == 0
    assert 'hd95: 24 items have no value in any run' in text
    assert [path.name for path in (tmp_path / 'out').glob('*.png')] == ['dice.png']


def test_options_reach_the_comparison(results, leaderboard, tmp_path):
    arguments = [f'Ours={results / "lsms"}', results / 'unet', f'Mixed up={results / "shuffled"}']
    options = ['--metrics', 'iou', '--reference', 'unet', '--group', r'image:^case\d', '--correction', 'fdr_bh']
    more = ['--test', 'wilcoxon', '--confidence', '0.9', '--seed', '3', '--lower', 'iou', '--other-text']
    code, _, _ = leaderboard(*arguments, *options, *more, '--resamples', 150, '--out', tmp_path / 'out')
    assert code == 0
    told = json.loads((tmp_path / 'out' / 'leaderboard.json').read_text(encoding='utf-8'))
    assert [run['name'] for run in told['runs']] == ['Mixed up', 'unet', 'Ours']
    assert (told['reference'], told['groups']) == ('unet', 4)
    assert told['options'] == dict(
        metrics=['iou'],
        reference='unet',
        group=r'image:^case\d',
        test='wilcoxon',
        correction='fdr_bh',
        confidence=0.9,
        resamples=150,
        seed=3,
        lower=['iou'],
        other_text=True,
    )


@pytest.mark.parametrize(
    ('break_it', 'arguments', 'words'),
    [
        (lambda r: (r / 'unet' / 'metrics.json').unlink(), (), 'unet: unfinished: no '),
        (lambda r: _cut(r / 'unet'), (), 'unet: lacks 1 of 24 (s23)'),
        (lambda r: None, ('--metrics', 'hd95'), 'no run has hd95; there are: dice, iou'),
        (lambda r: None, ('--reference', 'x'), "no run is called 'x'"),
    ],
)
def test_refusals_have_no_traceback(results, leaderboard, tmp_path, break_it, arguments, words):
    break_it(results)
    code, _, _ = leaderboard(results, *arguments, '--out', tmp_path / 'out')
    assert code.startswith('LeaderboardError: ')
    assert words in code
    assert not (tmp_path / 'out').exists()


def _cut(folder):
    lines = (folder / 'per_sample.csv').read_text().splitlines()
    (folder / 'per_sample.csv').write_text('\n'.join(lines[:-1]))
    (folder / 'metrics.json').write_text('{"protocols": {}, "items": 23}')


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ((), 'the following arguments are required'),
        (('a', '--confidence', '95'), '--confidence is 95.0; expected a share between 0 and 1'),
        (('a', '--resamples', '10'), '--resamples is 10; expected at least 100'),
        (('a', '--seed', '-1'), '--seed is -1'),
        (('a', '--correction', 'scheffe'), "invalid choice: 'scheffe'"),
    ],
)
def test_usage_faults(leaderboard, arguments, words):
    code, _, err = leaderboard(*arguments)
    assert code == 2
    assert words in err


@pytest.mark.parametrize('module', ['pandas', 'statsmodels', 'matplotlib'])
def test_a_missing_extra_is_named(leaderboard, monkeypatch, module):
    import mmseg_textseg.evaluation.comparison  # noqa: F401

    monkeypatch.delattr('mmseg_textseg.evaluation.comparison')
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    code, _, _ = leaderboard('anything')
    assert code == f"ImportError: comparing runs needs {module}: pip install 'mmseg_textseg[eval]'"
