"""tools/convert_dataset.py on a made-up set: what it prints, checksums, a second run, a killed run, bad arguments."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tools'))
import convert_dataset  # noqa: E402

from mmseg_textseg.datasets.converters import CONVERTERS, glas  # noqa: E402
from mmseg_textseg.datasets.converters.conversion import JOURNAL  # noqa: E402

NAMES = ['coco-captions', 'glas', 'monuseg', 'mosmeddata-plus', 'qata-cov19', 'refcoco', 'volume']


@pytest.fixture
def src(tmp_path):
    """GlaS, three images."""
    folder = tmp_path / 'src'
    folder.mkdir()
    for stem in ('train_1', 'train_2', 'testA_1'):
        cv2.imwrite(str(folder / f'{stem}.bmp'), np.full((3, 4, 3), 90, np.uint8))
        cv2.imwrite(str(folder / f'{stem}_anno.bmp'), np.eye(3, 4, dtype=np.uint8) * 2)
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


def run(*words):
    convert_dataset.main([str(word) for word in words])


def written(out):
    return {
        path.relative_to(out).as_posix(): path.stat().st_mtime_ns
        for path in out.rglob('*')
        if path.suffix in ('.png', '.jsonl') and path.name != JOURNAL
    }


def check_sums(out):
    lines = [line.split('  ') for line in (out / 'SHA256SUMS').read_text().splitlines()]
    assert {name for _, name in lines} == set(written(out))
    for digest, name in lines:
        assert digest == hashlib.sha256((out / name).read_bytes()).hexdigest(), name


def test_counts_and_checksums(src, out, capsys):
    before = {path: path.read_bytes() for path in src.iterdir()}
    run('glas', '--src', src, '--out', out, '--instances', '--no-progress')
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        'images: 3',
        'glands: 3',
        'testA rows: 1',
        'train rows: 2',
        f'checksums of 11 files: {out / "SHA256SUMS"}',
    ]
    assert not said.err
    check_sums(out)
    assert {path: path.read_bytes() for path in src.iterdir()} == before, 'the source stays as it is'


def test_progress_is_shown(src, out, capsys):
    run('glas', '--src', src, '--out', out)
    assert '3/3' in capsys.readouterr().err


def test_a_second_run_writes_nothing_and_says_the_same(src, out, capsys):
    words = ('glas', '--src', src, '--out', out, '--no-progress')
    run(*words)
    first, before = capsys.readouterr().out, written(out)
    run(*words)
    assert capsys.readouterr().out == first
    assert written(out) == before


def test_a_stopped_run_goes_on(src, out, monkeypatch):
    words = ('glas', '--src', src, '--out', out, '--no-progress')
    reads = []

    def read(path, read_picture=glas.read_picture):
        reads.append(path)
        if len(reads) > 4:
            raise KeyboardInterrupt
        return read_picture(path)

    with monkeypatch.context() as patch:
        patch.setattr(glas, 'read_picture', read)
        with pytest.raises(KeyboardInterrupt):
            run(*words)
    kept = written(out)
    assert 0 < len(kept) < 8
    assert not (out / 'SHA256SUMS').exists()
    run(*words)
    now = written(out)
    assert len(now) == 8
    assert {name: now[name] for name in kept} == kept
    check_sums(out)


@pytest.mark.slow
def test_a_killed_run_goes_on(src, out):
    for number in range(3, 300):
        for name in ('.bmp', '_anno.bmp'):
            (src / f'train_{number}{name}').write_bytes((src / f'train_1{name}').read_bytes())
    command = [
        sys.executable,
        'tools/convert_dataset.py',
        'glas',
        '--src',
        str(src),
        '--out',
        str(out),
        '--no-progress',
    ]
    first = subprocess.Popen(command, cwd=ROOT, env={**os.environ, 'HF_HUB_OFFLINE': '1'})
    deadline = time.monotonic() + 120
    while len(list(out.glob('masks/*.png'))) < 5 and time.monotonic() < deadline and first.poll() is None:
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = written(out)
    assert 5 <= len(kept) < 602
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert 'images: 300' in second.stdout
    now = written(out)
    assert len(now) == 602
    # The last file may have been written and not yet noted; it is made anew.
    assert len([name for name in kept if now[name] != kept[name]]) <= 1
    assert not list(out.rglob('*.part'))
    check_sums(out)


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        (['imagenet', '--src', '.', '--out', 'x'], ['invalid choice', *NAMES]),
        (['glas', '--out', 'x'], ['--src']),
        ([], ['NAME']),
    ],
)
def test_bad_arguments(words, expected, capsys):
    with pytest.raises(SystemExit) as stop:
        run(*words)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert all(part in said for part in expected)


def test_errors_are_plain(src, out, tmp_path):
    with pytest.raises(SystemExit) as stop:
        run('glas', '--src', tmp_path / 'none', '--out', out)
    assert 'is no folder: give the one that the dataset was unpacked to' in str(stop.value)
    with pytest.raises(SystemExit) as stop:
        run('glas', '--src', src, '--out', src)
    assert 'the source stays as it is' in str(stop.value)
    (src / 'train_1.bmp').unlink()
    with pytest.raises(SystemExit) as stop:
        run('glas', '--src', src, '--out', out, '--no-progress')
    assert 'no train_1.bmp beside it' in str(stop.value)


@pytest.mark.parametrize('name', NAMES)
def test_every_converter_has_help(name, capsys):
    assert name in CONVERTERS
    with pytest.raises(SystemExit) as stop:
        run(name, '--help')
    assert stop.value.code == 0
    assert '--src' in capsys.readouterr().out
