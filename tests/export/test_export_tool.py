"""tools/export.py in this process: what it prints, and commands that cannot be carried out."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'export.py'


@pytest.fixture
def run(monkeypatch, capsys):
    """Function (arguments) -> exit status or message, and what was printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        capsys.readouterr()
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
            code = 0
        except SystemExit as stop:
            code = stop.code
        return code, ''.join(capsys.readouterr())

    return run


def test_an_export(run, make, tmp_path):
    made = make('one-conv')
    options = ['--format', 'torch', '--size', 24, 40, '--cfg-options', 'model.data_preprocessor.pad_val=3']
    code, said = run(made.config, made.checkpoint, '--out', tmp_path / 'out', *options)
    assert code == 0
    assert 'model.pt2' in said
    assert 'inputs image; differs from the segmentor by at most' in said
    assert '3 items of the test set' in said
    about = json.loads((tmp_path / 'out' / 'export.json').read_text())
    assert about['image_size'] == [24, 40]
    assert about['format'] == 'torch'
    assert about['opset'] is None


@pytest.mark.parametrize(
    ('arguments', 'pattern'),
    [
        (['gone.py', 'CHECKPOINT', '--out', 'OUT'], r'ConfigError: no config file at gone\.py'),
        (['CONFIG', 'gone.pth', '--out', 'OUT'], r'ConfigError: no checkpoint at gone\.pth'),
        (['CONFIG', 'CHECKPOINT', '--out', 'FULL'], 'FileExistsError: .* is not empty: choose another folder'),
        (
            ['CONFIG', 'CHECKPOINT', '--out', 'OUT', '--size', '30', '40', '--dynamic-size'],
            'ExportError: size is 30 x 40',
        ),
        (
            ['CONFIG', 'CHECKPOINT', '--out', 'OUT', '--cfg-options', 'model.test_cfg.mode=slide'],
            "ExportError: model.test_cfg.mode='slide' averages windows",
        ),
    ],
)
def test_what_cannot_be_exported_says_why_in_a_line(run, make, tmp_path, arguments, pattern):
    made = make('one-conv')
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'a').write_text('')
    names = dict(CONFIG=made.config, CHECKPOINT=made.checkpoint, OUT=tmp_path / 'out', FULL=tmp_path / 'full')
    code, _ = run(*(names.get(word, word) for word in arguments))
    assert isinstance(code, str)
    assert re.match(pattern, code)
    assert '\n' not in code
    assert sorted(path.name for path in tmp_path.iterdir()) == ['full']


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (['--format', 'torch', '--opset', 20], '--opset belongs to --format onnx'),
        (['--opset', 11], '--opset must be at least 18, got 11'),
        (['--tolerance', 0], '--tolerance must be between 0 and 1'),
    ],
)
def test_options_that_do_not_fit(run, tmp_path, options, said):
    code, printed = run('a.py', 'a.pth', '--out', tmp_path / 'out', *options)
    assert code == 2
    assert said in printed
