"""One run of a suite: a row and a seed, trained and tested in processes of their own."""

import json
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from mmengine.config import Config

from ...fileio import whole_file
from ..config import ConfigError
from . import record
from .processes import Children, last_lines
from .rows import ROOT, relative
from .schedule import run_settings

RECORD, SUMMARY = 'run.json', 'metrics.json'


@dataclass(frozen=True)
class Task:
    """A run to be done, or done.

    Attributes:
        row: name of its row.
        seed: of its randomness.
        config: its config file; all of the run is in its folder.
        record: what run.json says: ``config`` (flat), ``iterations``, ``tested``, ``trained``, ``failure``, ...
    """

    row: str
    seed: int
    config: Path
    record: dict

    @property
    def name(self) -> str:
        """In messages."""
        return f'{self.row} seed {self.seed}'

    @property
    def folder(self) -> Path:
        """Of the run, with its metrics.json and per_sample.csv."""
        return self.config.parent

    @property
    def work_dir(self) -> Path:
        """Of its training."""
        return self.folder / 'work'

    @property
    def finished(self) -> bool:
        """tools/test.py writes its summary last of all."""
        return (self.folder / SUMMARY).is_file()

    def keep(self, **more: object) -> None:
        """Write what is new about it."""
        self.record.update(more)
        record.write(self.folder / RECORD, self.record)


def prepare(row: str, base: Path, folder: Path, options: list[str], run: dict, redo: bool) -> Task:
    """A run's config, written where it is not there yet.

    Args:
        row: name.
        base: config of the row.
        folder: of the row; the run's is below it.
        options: ``--cfg-options`` that concern it.
        run: ``seed``, ``iterations``, ``per_epoch``, ``validations`` of :func:`.schedule.run_settings`.
        redo: empty a folder of another config.

    Raises:
        ConfigError: a schedule that cannot be scaled.
        ChangedError: a folder of another config.
    """
    cfg, chosen = Config.fromfile(base), record.parse_options(options)
    cfg.merge_from_dict(chosen)
    settings = run_settings(cfg, **run)
    cfg.merge_from_dict(deepcopy(settings))  # it takes the _delete_ out of what it is given
    cfg.merge_from_dict(chosen)  # as the tools do: options last
    config = folder / f'seed{run["seed"]}' / f'{row}.py'
    flat = record.flat_config(cfg)
    known = record.same_or_redo(config.parent / RECORD, f'{row} seed {run["seed"]}', flat, redo)
    tested = 'last' if run['validations'] == 1 else f'best Dice of {run["validations"]} validations'
    fresh = dict(row=row, **run, tested=tested, options=options, config_sha256=record.digest(flat), config=flat)
    task = Task(row, run['seed'], config, known or fresh)
    if known is None:
        lines = [
            f'# {row}, seed {run["seed"]}, {run["iterations"]} iterations: written by tools/run_suite.py',
            f'_base_ = {relative(base, config.parent)!r}',
            *(f'{key} = {value!r}' for key, value in settings.items()),
        ]
        with whole_file(config, encoding='utf-8') as file:
            file.write('\n'.join(lines) + '\n')
        task.keep()
    return task


def execute(task: Task, children: Children) -> bool:
    """Train and test, going on from where it was stopped; whether it came to its end.

    A failure goes into the record: which step, its exit status, log and last lines.

    Raises:
        Stopped: the suite was.
    """
    options = task.record['options']
    more = ['--work-dir', str(task.work_dir), *(['--cfg-options', *options] if options else [])]
    task.record.pop('failure', None)
    if not task.record.get('trained'):
        resume = ['--resume'] if (task.work_dir / 'last_checkpoint').is_file() else []
        if not _step(task, children, 'train', [str(task.config), *resume, *more]):
            return False
        task.keep(trained=True)
    try:
        checkpoint = pick_checkpoint(task)
    except ConfigError as error:
        task.keep(failure=dict(step='test', lines=[str(error)]))
        return False
    return _step(task, children, 'test', [str(task.config), checkpoint, '--out', str(task.folder), *more])


def _step(task: Task, children: Children, tool: str, arguments: list[str]) -> bool:
    log = task.folder / f'{tool}.log'
    ended = children.run([str(ROOT / 'tools' / f'{tool}.py'), *arguments], log)
    seconds = task.record.get(f'{tool}_process_seconds', 0) + ended.seconds
    memory = max(task.record.get(f'{tool}_peak_memory_mb', 0), ended.memory)
    task.keep(**{f'{tool}_process_seconds': round(seconds, 1), f'{tool}_peak_memory_mb': memory})
    if ended.code:
        task.keep(failure=dict(step=tool, code=ended.code, log=str(log), lines=last_lines(log)))
    return not ended.code


def pick_checkpoint(task: Task) -> str:
    """The last one, or with several validations the best.

    Raises:
        ConfigError: the training has left none.
    """
    if task.record['validations'] > 1:
        found = sorted(task.work_dir.glob('best_dice_*.pth'), key=lambda path: path.stat().st_mtime)
        if not found:
            raise ConfigError(f'no best_dice_*.pth in {task.work_dir}: the validations gave no dice to choose by')
        return str(found[-1])
    last = task.work_dir / 'last_checkpoint'
    if not last.is_file():
        raise ConfigError(f'no checkpoint in {task.work_dir}')
    return last.read_text(encoding='utf-8').strip()


def read_clock(work_dir: Path) -> list[float]:
    """Seconds of an iteration, as mmengine's logs of a training have them, a value a logged step.

    What was trained twice, after a stop, counts once.
    """
    times = {}
    for log in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in map(json.loads, log.read_text(encoding='utf-8').splitlines()):
            if 'loss' in line and 'time' in line:
                times[line['step']] = line['time']
    return [times[step] for step in sorted(times)]


def clock(task: Task, batch_size: int) -> dict[str, float]:
    """``seconds`` of the training, without start, validation and checkpoints, and ``images_per_second`` (median)."""
    times = read_clock(task.work_dir)
    if not times:
        return {}
    return dict(
        seconds=fmean(times) * task.record['iterations'], images_per_second=batch_size / max(median(times), 1e-9)
    )
