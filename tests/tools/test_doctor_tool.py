"""tools/doctor.py: arguments, files, exit status."""

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'doctor.py'
CONFIG = """
model = dict(text_encoder=dict(type='BertTextEncoder', pretrained='bert-base-uncased', tokenizer=None))
steps = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='Resize', scale=(16, 16)),
    dict(type='TokenizeText', tokenizer='bert-base-uncased', max_tokens=6),
]
common = dict(
    type='TextSegDataset', data_root='{root}', data_prefix=dict(img_path='images', seg_map_path='masks'), pipeline=steps
)
train_dataloader = dict(dataset=dict(ann_file='train.csv', **common))
test_dataloader = dict(dataset=dict(ann_file='test.csv', **common))
"""


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
    for name in 'abcd':
        small = rng.integers(0, 256, (8, 8), dtype=np.uint8)
        cv2.imwrite(
            str(tmp_path / 'images' / f'{name}.png'), cv2.resize(small, (16, 16), interpolation=cv2.INTER_CUBIC)
        )
        cv2.imwrite(str(tmp_path / 'masks' / f'{name}.png'), np.tile(np.arange(16, dtype=np.uint8) // 8 * 255, (16, 1)))
    for split, names in (('train', 'ab'), ('test', 'cd')):
        rows = ''.join(f'{name}.png,node {name} on the right\n' for name in names)
        (tmp_path / f'{split}.csv').write_text(f'image,expression\n{rows}')
    return tmp_path


@pytest.fixture
def doctor(monkeypatch, capsys):
    """Function arguments -> exit status, what was printed, what went to stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(TOOL), run_name='__main__')
        return (stop.value.code, *capsys.readouterr())

    return run


def test_clean_tables(root, doctor):
    code, out, _ = doctor('--root', root, '--ann', 'train=train.csv', 'test=test.csv', '--workers', 1)
    assert code == 0
    assert out.rstrip().endswith('0 errors, 0 warnings')
    assert 'skipped: tokeniser of train, test: no TokenizeText' in out


def test_error_json_and_sheet(root, doctor):
    (root / 'images' / 'd.png').unlink()
    report, page = root / 'out' / 'report.json', root / 'out' / 'page.png'
    arguments = ('--workers', 1, '--json', report, '--sheet', page, '--sheet-samples', 3)
    code, out, _ = doctor('--root', root, '--ann', 'train=train.csv', 'test=test.csv', *arguments)
    assert code == 1
    assert 'missing-file: 1 file named by a row but not there' in out
    assert "- test: test.csv row 3: 'image' is 'd.png'" in out
    data = json.loads(report.read_text())
    assert data['exit_status'] == 1
    assert data['findings'][0]['check'] == 'missing-file'
    assert cv2.imread(str(page)).shape == (324, 1440, 3)  # three cells of six


def test_config_with_options(root, doctor, tmp_path):
    config = tmp_path / 'tiny.py'
    config.write_text(CONFIG.format(root=root.as_posix()))
    code, out, _ = doctor(config, '--workers', 1, '--cfg-options', 'model.text_encoder.pretrained=scratch')
    assert code == 0
    # Five words and two special tokens. Of the letters c and d, training has seen the second, in 'node'.
    assert 'truncated-text: 4 of 4 sentences are cut by max_tokens=6; the longest needs 7' in out
    assert 'unknown-words: 1 word unknown to the vocabulary' in out
    assert '0 errors, 2 warnings' in out


def test_a_blank_row_of_the_table_that_the_vocabulary_is_built_from(root, doctor, tmp_path):
    (root / 'train.csv').write_text('image,expression\na.png,node a on the right\nb.png,\n')
    config = tmp_path / 'tiny.py'
    config.write_text(CONFIG.format(root=root.as_posix()))
    code, out, _ = doctor(config, '--workers', 1, '--cfg-options', 'model.text_encoder.pretrained=scratch')
    assert code == 1
    assert 'blank-expression: 1 expression missing or blank' in out
    assert '- train: train.csv row 3' in out
    assert 'skipped: tokeniser of train, test: ' in out
    assert 'splits:\n    train: 1 good row' in out


def test_a_mistyped_case_column(root, doctor):
    tables = ('--root', root, '--ann', 'train=train.csv', 'test=test.csv', '--workers', 1)
    code, _, err = doctor(*tables, '--case-column', 'patiant')
    assert code == 2
    assert "no table has the case column 'patiant'; their other columns are none" in err


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ((), 'give a config, or --root with --ann'),
        (('no_such.py',), 'no config file at no_such.py'),
        (('--root', 'nowhere'), 'go together'),
        (('--root', 'nowhere', '--ann', 'train=a.csv'), 'nowhere is no folder'),
        (('--root', '.', '--ann', 'a.csv'), 'wants SPLIT=TABLE'),
        (('a.py', '--type', 'GlaSDataset'), 'go with --root'),
        (('a.py', '--workers', '0'), '--workers is 0'),
        (('a.py', '--near-distance', '17'), '--near-distance is 17'),
        (('a.py', '--sheet', 'a.jpg'), 'must end in .png'),
    ],
)
def test_usage_faults(doctor, arguments, words):
    code, _, err = doctor(*arguments)
    assert code == 2
    assert words in err
