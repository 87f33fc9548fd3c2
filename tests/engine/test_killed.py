"""kill -9 at random moments of trainings that save after each iteration: gone on with, they equal one never killed."""

import os
import random
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest
import torch
from small_training import At, assert_equal, runner_of, state

from mmseg_textseg.engine import find_whole_checkpoint

SETTINGS = dict(length=12, interval=1)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != 'linux', reason='forks a process with everything imported'),
]


def start_training(work_dir):
    """A process that trains to the end of what is left."""
    child = os.fork()
    if not child:
        try:
            runner_of(work_dir, **SETTINGS, resume=True).train()
        finally:
            os._exit(0)
    return child


def train_and_kill(work_dir, seconds):
    """Whether the training came to its end before so many seconds."""
    child = start_training(work_dir)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status)


def test_killed_twenty_times(tmp_path):
    whole = runner_of(tmp_path / 'whole', **SETTINGS)
    whole.train()
    begun = time.perf_counter()
    os.waitpid(start_training(tmp_path / 'timed'), 0)  # with all that a process needs to begin
    length = time.perf_counter() - begun
    expected, draws, deaths = state(whole), random.Random(5), 0
    for attempt in range(60):
        work_dir = tmp_path / f'run{attempt}'
        while not train_and_kill(work_dir, draws.uniform(0.1, 0.9) * length):
            deaths += 1
            assert find_whole_checkpoint(work_dir) or not list(work_dir.glob('*.pth'))
        runner = runner_of(work_dir, **SETTINGS, resume=True)
        runner.train()
        assert_equal(state(runner), expected)
        if deaths >= 20:
            break
    assert deaths >= 20


def exit_code(child, seconds=60):
    """Of a process that ends in time; one that hangs is killed, with its group."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail(f'it did not end within {seconds} s')


@pytest.mark.skipif(not hasattr(signal, 'sigwaitinfo'), reason='the system does not tell who sent a signal')
def test_stopped_with_their_workers(tmp_path):
    """SIGTERM to the whole group, at random moments: no batch is lost with the worker that was sending it."""
    settings, draws = dict(workers=2, length=10**6, interval=10**6), random.Random(7)
    for attempt in range(8):
        work_dir = tmp_path / f'run{attempt}'
        child = os.fork()
        if not child:
            code = 1
            try:
                os.setsid()
                # A batch of each worker: both have begun.
                begun = At(2, lambda runner: (Path(runner.work_dir) / 'ready').touch())
                runner_of(work_dir, **settings, custom_hooks=[begun]).train()
            except SystemExit as stopped:
                code = stopped.code
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        while not (work_dir / 'ready').exists():
            assert os.waitpid(child, os.WNOHANG) == (0, 0)
            time.sleep(0.01)
        time.sleep(draws.uniform(0, 0.4))
        subprocess.run(['kill', '-TERM', '--', f'-{child}'], check=True)
        assert exit_code(child) == 143
        assert 0 < torch.load(find_whole_checkpoint(work_dir), weights_only=False)['meta']['iter'] < 10**6
