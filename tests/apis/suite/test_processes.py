"""Children: how they end, how they are ended, and the folder that they hold."""

import os
import threading
import time
from contextlib import suppress

import pytest

from mmseg_textseg.apis import ConfigError
from mmseg_textseg.apis.suite.processes import Children, Stopped, last_lines, only_one

HOLD = "import pathlib, subprocess, sys, time; {start}pathlib.Path(sys.argv[1]).write_text('up'); time.sleep(60)"


def wait_for(path):
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_status_log_and_threads(tmp_path):
    log = tmp_path / 'log'
    script = "import os, sys; print(os.environ['OMP_NUM_THREADS'], os.environ['HF_HUB_OFFLINE'], *sys.argv[1:])"
    with only_one(tmp_path) as lock:
        children = Children(lock, threads=3)
        ended = children.run(['-c', script, 'a b'], log)
        assert children.run(['-c', "import sys; sys.exit('no luck')"], log).code == 1
    assert (ended.code, ended.seconds > 0) == (0, True)
    assert last_lines(log)[1] == '3 1 a b'
    assert last_lines(log, 1) == ['no luck']
    assert last_lines(tmp_path / 'absent') == []


def test_peak_memory(tmp_path):
    with only_one(tmp_path) as lock:
        ended = Children(lock).run(['-c', "import time; b = b'x' * (200 << 20); time.sleep(2)"], tmp_path / 'log')
    # A process of Python has some 10 MB; this one, which starts it, has several hundred.
    assert 200 < ended.memory < 260


def test_stop_ends_children_and_theirs(tmp_path):
    up, pids = tmp_path / 'up', tmp_path / 'pids'
    start = "child = subprocess.Popen(['sleep', '60']); pathlib.Path(sys.argv[2]).write_text(str(child.pid)); "
    outcome = []
    with only_one(tmp_path) as lock:
        children = Children(lock)

        def work():
            try:
                children.run(['-c', HOLD.format(start=start), str(up), str(pids)], tmp_path / 'log')
            except Stopped:
                outcome.append('stopped')

        thread = threading.Thread(target=work)
        thread.start()
        wait_for(up)
        children.stop()
        thread.join(20)
        assert outcome == ['stopped']
        with pytest.raises(Stopped):
            children.run(['-c', 'pass'], tmp_path / 'log')
    end = time.monotonic() + 20
    stat = f'/proc/{pids.read_text()}/stat'
    while os.path.exists(stat) and open(stat).read().split()[2] != 'Z':  # noqa: SIM115
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_folder_is_held_until_the_last_child_has_ended(tmp_path):
    up = tmp_path / 'up'
    with only_one(tmp_path) as lock:
        with pytest.raises(ConfigError, match='in use by another suite'), only_one(tmp_path):
            pass
        children = Children(lock)
        thread = threading.Thread(target=lambda: _ignore(children, up, tmp_path))
        thread.start()
        wait_for(up)
    # As after a kill of the suite: its child goes on, and with it the lock.
    with pytest.raises(ConfigError, match='a killed one has left'), only_one(tmp_path):
        pass
    children.stop()
    thread.join(20)
    with only_one(tmp_path):
        pass


def _ignore(children, up, folder):
    with suppress(Stopped):
        children.run(['-c', HOLD.format(start=''), str(up)], folder / 'log')
