"""tools/webdemo.py as a process: it serves, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture
def start(tiny_model, tmp_path):
    """Function (options...) -> the process of the tool; its temporary files are in ``tmp_path``."""
    pytest.importorskip('gradio')
    # A proxy that is not there: neither the tool nor gradio may ask anybody.
    nowhere = dict.fromkeys(('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'), 'http://127.0.0.1:9')
    settings = dict(PYTHONPATH=str(ROOT), TMPDIR=str(tmp_path), OMP_NUM_THREADS='1', HF_HUB_OFFLINE='1', **nowhere)
    env = {key: value for key, value in os.environ.items() if key.lower() != 'no_proxy'} | settings
    processes = []

    def run(*options) -> subprocess.Popen:
        command = [sys.executable, ROOT / 'tools' / 'webdemo.py', tiny_model.config, *options]
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(subprocess.Popen([*map(str, command)], cwd=tmp_path, env=env, **pipes))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def test_it_serves_until_it_is_ended(start, tiny_model, tmp_path):
    process = start(tiny_model.checkpoint, '--device', 'cpu')
    line = next(line for line in process.stdout if 'Ctrl-C' in line)
    address = line.split()[0]
    assert address.startswith('http://127.0.0.1:')
    html = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=60).read().decode()
    assert 'Segment by a sentence' in html
    assert list(tmp_path.glob('textseg_web_*'))
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert not list(tmp_path.glob('textseg_web_*')), 'pictures of users'


def test_mistakes_are_said_without_a_traceback(start, tiny_model):
    process = start(tiny_model.checkpoint, '--examples', 'gone.csv')
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "annotation file 'gone.csv' does not exist" in said
    assert 'Traceback' not in said
