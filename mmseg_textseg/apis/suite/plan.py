"""What a suite will do: its rows as configs that load and have their data, their costs, their runs."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.config import Config

from ...fileio import whole_file
from ..config import ConfigError, load_config
from ..preflight import find_missing
from . import record
from .budget import Budget, count_iterations
from .processes import Children, last_lines
from .rows import Row, relative, swap_base
from .runs import Task, prepare

RECORD, COSTS = 'row.json', 'cost.json'


@dataclass
class Line:
    """A row on its way.

    Attributes:
        row: what it is.
        config: the config that its runs are over.
        folder: of the row.
        options: ``--cfg-options`` that concern it.
        costs: of :mod:`.costs`.
        tasks: a run a seed.
        failure: why it cannot run at all.
    """

    row: Row
    config: Path
    folder: Path
    options: list[str] = field(default_factory=list)
    costs: dict = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    failure: str = ''


def settle(row: Row, out: Path, options: Sequence[str], redo: bool) -> Line:
    """Write a row's config and see that it can run.

    A row that cannot is told in ``failure``, whatever the reason: the others go on.

    Raises:
        ChangedError: the folder is of another config.
    """
    folder = out / row.name
    swapped = row.base is not None
    config = folder / f'{row.name}.py' if swapped else row.source
    line = Line(row, config, folder)
    try:
        text = _over(row, folder) if swapped else ''
        # A sibling of the row's folder, where the base is as far away.
        with tempfile.TemporaryDirectory(dir=out, prefix='.row') as place:
            draft = Path(place) / config.name if swapped else config
            if swapped:
                draft.write_text(text, encoding='utf-8')
            cfg = Config.fromfile(draft)
            line.options = record.options_of(cfg, options)
            cfg.merge_from_dict(record.parse_options(line.options))
            settled = load_config(str(draft), record.parse_options(line.options))
            missing = find_missing(settled, ('train', 'val', 'test'))
        if cfg.get('test_dataloader') is None:
            line.failure = 'it has no test_dataloader, as a pretraining: there is nothing to compare'
        elif missing:
            line.failure = '; '.join(f'{one.what} ({one.get})' for one in missing)
    except Exception as error:  # a row may be wrong in any way
        line.failure = f'{type(error).__name__}: {error}'
    if line.failure:
        return line
    flat = record.flat_config(cfg)
    known = record.same_or_redo(folder / RECORD, row.name, flat, redo)
    if known is None:
        if swapped:
            with whole_file(config, encoding='utf-8') as file:
                file.write(text)
        base = None if row.base is None else str(row.base)
        record.write(folder / RECORD, dict(name=row.name, source=str(row.source), base=base, config=flat))
    line.costs = record.read(folder / COSTS) or {}
    return line


def _over(row: Row, folder: Path) -> str:
    base = relative(row.base, folder)
    head = f'# {row.source.name} over {row.base.name}: written by tools/run_suite.py\n'
    return head + swap_base(row.source.read_text(encoding='utf-8'), base, str(row.source))


def measure_costs(lines: Sequence[Line], out: Path, children: Children, training: bool) -> None:
    """Measure what is not known yet, all rows in one process; should that die, each in its own.

    Args:
        lines: rows that can run; ``costs``, or ``failure``, is filled in.
        out: folder of the suite.
        children: to run it with.
        training: whether a time budget needs the speed of the training.
    """
    wanted = [line for line in lines if not line.costs or (training and 'seconds_per_iteration' not in line.costs)]
    if not wanted:
        return
    answer = _ask(wanted, out, children, training)
    if answer is None:
        answer = {}
        for line in wanted:
            answer.update(_ask([line], out, children, training) or {})
    for line in wanted:
        lines_of_log = ' / '.join(last_lines(out / 'measure.log', 3))
        found = answer.get(line.row.name, dict(error=f'measuring it ended its process: {lines_of_log}'))
        if 'error' in found:
            line.failure = found['error']
        else:
            line.costs = found
            record.write(line.folder / COSTS, found)


def _ask(lines: Sequence[Line], out: Path, children: Children, training: bool) -> dict | None:
    with tempfile.TemporaryDirectory(dir=out, prefix='.measure') as place:
        request, answer = Path(place) / 'request.json', Path(place) / 'answer.json'
        rows = {line.row.name: dict(config=str(line.config), options=line.options) for line in lines}
        request.write_text(json.dumps(dict(rows=rows, training=training)), encoding='utf-8')
        module = 'mmseg_textseg.apis.suite.measure'
        children.run(['-m', module, str(request), str(answer)], out / 'measure.log')
        return record.read(answer)


def plan_runs(lines: Sequence[Line], budget: Budget, seeds: Sequence[int], validations: int, redo: bool) -> list[Task]:
    """The runs of all rows, seed by seed, so that a suite that is stopped early has some of every row.

    A row whose schedule cannot be scaled fails.

    Raises:
        ChangedError: a folder of another config.
    """
    tasks = []
    for seed in seeds:
        for line in lines:
            if line.failure:
                continue
            per_epoch = line.costs['per_epoch']
            iterations = count_iterations(budget, per_epoch, line.costs.get('seconds_per_iteration'))
            run = dict(seed=seed, iterations=iterations, per_epoch=per_epoch, validations=validations)
            try:
                task = prepare(line.row.name, line.config, line.folder, line.options, run, redo)
            except record.ChangedError:
                raise
            except ConfigError as error:  # a schedule that cannot be scaled
                line.failure = str(error)
                continue
            line.tasks.append(task)
            tasks.append(task)
    return tasks
