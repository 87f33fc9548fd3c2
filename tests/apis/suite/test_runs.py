"""Runs: their clock, the checkpoint that is tested, several at a time."""

import json
import threading
from pathlib import Path

import pytest

from mmseg_textseg.apis import ConfigError
from mmseg_textseg.apis.suite import suite
from mmseg_textseg.apis.suite.runs import Task, clock, pick_checkpoint, read_clock


@pytest.fixture
def task(tmp_path):
    """Function (validations=1) -> a run of 30 iterations."""

    def make(validations=1):
        record = dict(iterations=30, validations=validations)
        return Task('row', 0, tmp_path / 'row.py', record)

    (tmp_path / 'work').mkdir()
    return make


def log(work_dir: Path, name: str, *lines: dict) -> None:
    path = work_dir / name / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(map(json.dumps, lines)))


def test_clock(task):
    run = task()
    assert read_clock(run.work_dir) == []
    assert clock(run, 8) == {}
    train = [dict(loss=1.0, step=step, time=time) for step, time in ((10, 0.2), (20, 0.4), (30, 9.0))]
    # Stopped after 20 with a checkpoint of 10: what was done again counts once, as it was done last.
    log(run.work_dir, '20250101_000000', *train[:2], dict(dice=0.5, time=3.0, step=20))
    log(run.work_dir, '20250102_000000', dict(train[1], time=0.6), dict(train[2], time=0.4))
    assert read_clock(run.work_dir) == [0.2, 0.6, 0.4]
    assert clock(run, 8) == dict(seconds=pytest.approx(30 * 0.4), images_per_second=pytest.approx(8 / 0.4))


def test_the_last_checkpoint_or_the_best(task, tmp_path):
    with pytest.raises(ConfigError, match='no checkpoint in'):
        pick_checkpoint(task())
    with pytest.raises(ConfigError, match='no best_dice'):
        pick_checkpoint(task(validations=3))
    (tmp_path / 'work' / 'last_checkpoint').write_text('iter_30.pth\n')
    (tmp_path / 'work' / 'best_dice_iter_20.pth').touch()
    assert pick_checkpoint(task()) == 'iter_30.pth'
    assert pick_checkpoint(task(validations=3)) == str(tmp_path / 'work' / 'best_dice_iter_20.pth')


def test_as_many_at_a_time_as_there_are_jobs(tmp_path, monkeypatch):
    tasks = [Task(name, 0, tmp_path / name / 'row.py', dict(iterations=3)) for name in 'abcd']
    together, said = threading.Barrier(2, timeout=20), []

    def execute(task, children):
        together.wait()  # never passed by one alone
        task.record['train_process_seconds'] = 1
        return True

    monkeypatch.setattr(suite, 'execute', execute)
    suite._run_all(tasks, None, 2, said.append)
    assert said[0] == '4 runs, 0 of them finished before'
    assert sorted(line for line in said if 'done' in line) == [
        f'[{number}/4] {name} seed 0: done, 1 s of training' for number, name in enumerate('abcd', 1)
    ]
