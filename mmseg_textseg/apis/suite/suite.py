"""Rows at equal budget, several seeds each: measured, trained, tested, compared."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from ..config import ConfigError
from .budget import Budget
from .plan import Line, measure_costs, plan_runs, settle
from .processes import Children, Stopped, only_one
from .rows import FULL, Row
from .runs import Task, execute


@dataclass(frozen=True)
class Suite:
    """What is asked for; see ``tools/run_suite.py``."""

    rows: Sequence[Row]
    out: Path
    budget: Budget
    seeds: Sequence[int]
    validations: int = 1
    options: Sequence[str] = ()
    threads: int | None = None
    jobs: int = 1
    redo: bool = False


def run(suite: Suite, say: Callable[[str], None] = print) -> list[Line]:
    """Bring a suite to its end, going on from where it was stopped.

    Args:
        suite: what is asked for.
        say: takes a line of progress.

    Returns:
        Its rows, those that failed too.

    Raises:
        ConfigError: no row can run, a folder is of another config, or in use.
        KeyboardInterrupt: it was stopped; what ran has ended.
    """
    with only_one(suite.out) as lock:
        children = Children(lock, suite.threads)
        try:
            lines = [settle(row, suite.out, suite.options, suite.redo) for row in suite.rows]
            told = _tell(lines, say)
            say(f'{len(lines)} rows: parameters, multiplications, latency{_and_speed(suite)} ...')
            able = [line for line in lines if not line.failure]
            measure_costs(able, suite.out, children, training=suite.budget.unit == 'seconds')
            told = _tell(lines, say, told)
            tasks = plan_runs(lines, suite.budget, suite.seeds, suite.validations, suite.redo)
            _tell(lines, say, told)
            _run_all(tasks, children, suite.jobs, say)
        except BaseException:
            children.stop()
            raise
    return lines


def _and_speed(suite: Suite) -> str:
    return ', speed of training' if suite.budget.unit == 'seconds' else ''


def _tell(lines: Sequence[Line], say: Callable[[str], None], told: Sequence[str] = ()) -> list[str]:
    """Say which rows cannot run, but for those told before; an error where none can, or not the reference."""
    failed = [f'{line.row.name}: {line.failure}' for line in lines if line.failure]
    if len(failed) == len(lines):
        raise ConfigError('\n  '.join(['no row can run:', *failed]))
    if lines[0].failure and lines[0].row.name == FULL:
        raise ConfigError(f'the reference, {failed[0]}')
    for text in failed:
        if text not in told:
            say(f'cannot run {text}')
    return failed


def _run_all(tasks: Sequence[Task], children: Children, jobs: int, say: Callable[[str], None]) -> None:
    done = [task for task in tasks if task.finished]
    left = [task for task in tasks if not task.finished]
    say(f'{len(tasks)} runs, {len(done)} of them finished before')

    def one(number: int, task: Task) -> None:
        going_on = ', going on' if (task.work_dir / 'last_checkpoint').is_file() else ''
        say(f'[{number}/{len(left)}] {task.name}: {task.record["iterations"]} iterations{going_on} ...')
        if execute(task, children):
            say(f'[{number}/{len(left)}] {task.name}: done, {task.record["train_process_seconds"]:.0f} s of training')
        else:
            failure = task.record['failure']
            say('\n    '.join([f'[{number}/{len(left)}] {task.name} FAILED: {failure["step"]}', *failure['lines']]))

    with ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(one, number, task) for number, task in enumerate(left, 1)}
        try:
            while waiting:
                # A signal is heard between waits.
                ended, waiting = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
                for future in ended:
                    future.result()
        except BaseException as error:
            children.stop()
            pool.shutdown(cancel_futures=True)
            if isinstance(error, Stopped):
                raise KeyboardInterrupt from error
            raise
