"""The table of a suite: scores over seeds, what they cost, and how far each row is from the reference."""

import csv
import io
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from ...fileio import whole_file
from ..config import ConfigError
from .plan import Line
from .runs import clock
from .suite import Suite

METRICS = ('dice', 'iou')
FORMAT = 1
# A training that took so much more or less than a budget of time is told.
TOLERANCE = 0.2


def scores(lines: Sequence[Line], reference: str) -> tuple[dict, object]:
    """Scores of the finished runs.

    Args:
        lines: rows of a suite.
        reference: name of the row that others are compared with; where it has no finished run, the best.

    Returns:
        Name of a row -> metric -> its value for each seed; the leaderboard of the rows, each the mean of its seeds,
        or None where nothing is finished.

    Raises:
        LeaderboardError: runs that are not over the same items.
    """
    from ...evaluation import comparison

    finished = {line.row.name: [task for task in line.tasks if task.finished] for line in lines}
    finished = {name: tasks for name, tasks in finished.items() if tasks}
    if not finished:
        return {}, None
    values, means = {}, []
    for name, tasks in finished.items():
        runs = comparison.read_runs([(f'{name}/seed{task.seed}', task.folder) for task in tasks])
        values[name] = {metric: [run.items[metric].mean() for run in runs] for metric in METRICS}
        means.append(comparison.average_seeds(name, runs))
    # Rows may hear less text than others: that is what they are for, and a remark says so.
    options = comparison.Options(
        metrics=METRICS, reference=reference if reference in finished else None, other_text=True
    )
    return values, comparison.compare(means, options)


def as_records(lines: Sequence[Line], values: dict, board: object) -> list[dict]:
    """A dict a row, in their order: fractions of 1, seconds; None where there is nothing."""
    records = []
    for line in lines:
        name, costs = line.row.name, line.costs
        done = [task for task in line.tasks if task.finished]
        clocks = [one for one in (clock(task, costs['batch_size']) for task in done) if one]
        row = dict(row=name, seeds=len(done), of_seeds=len(line.tasks))
        for metric in METRICS:
            found = values.get(name, {}).get(metric, [])
            row[metric] = fmean(found) if found else None
            row[f'{metric}_sd'] = stdev(found) if len(found) > 1 else None
        for metric in METRICS:
            pair = None if board is None else board.comparisons[metric].get(name)
            row[f'{metric}_difference'] = pair and pair.difference.value
            row[f'{metric}_difference_low'] = pair and _number(pair.difference.low)
            row[f'{metric}_difference_high'] = pair and _number(pair.difference.high)
            row[f'{metric}_p'] = pair and _number(pair.p)
            row[f'{metric}_stars'] = pair.stars if pair else ''
        row.update(
            iterations=line.tasks[0].record['iterations'] if line.tasks else None,
            batch_size=costs.get('batch_size'),
            parameters=costs.get('parameters'),
            trained_parameters=costs.get('trained_parameters'),
            gmacs=costs.get('gmacs'),
            gmacs_text_encoder=costs.get('gmacs_text_encoder'),
            latency=costs.get('latency'),
            images_per_second=fmean(one['images_per_second'] for one in clocks) if clocks else None,
            seconds=fmean(one['seconds'] for one in clocks) if clocks else None,
            peak_memory_mb=max((task.record['train_peak_memory_mb'] for task in done), default=None),
            measured_seconds_per_iteration=costs.get('seconds_per_iteration'),
            failure=line.failure or '; '.join(_failed(task) for task in line.tasks if 'failure' in task.record),
        )
        records.append(row)
    return records


def _number(value: float) -> float | None:
    return None if value != value else float(value)


def _failed(task) -> str:
    failure = task.record['failure']
    where = f', {failure["log"]}' if 'log' in failure else ''
    why = textwrap.shorten(failure['lines'][-1], 200) if failure['lines'] else 'it printed nothing'
    return f'seed {task.seed} failed in {failure["step"]}{where}: {why}'


def as_markdown(records: Sequence[dict], suite: Suite, board: object, lines: Sequence[Line]) -> str:
    """Table, legend, remarks."""
    from ...evaluation import comparison

    reference = board.reference if board is not None else suite.rows[0].name
    head = ['row', 'Dice', 'IoU', f'Dice - {reference}', 'params, M', 'GMACs', 'latency, ms', 'images/s', 'seconds']
    body = []
    for row in records:
        pair = board.comparisons['dice'].get(row['row']) if board is not None else None
        dice = next(m for m in board.measures if m.name == 'dice') if board is not None else None
        body.append(
            [
                row['row'],
                *(_spread(row, metric) for metric in METRICS),
                f'{comparison.show_interval(pair.difference, dice, "+")} {pair.stars:<3}' if pair else '-',
                _show(row['parameters'], 1e-6, 2),
                _show(row['gmacs'], 1, 3),
                _show(row['latency'], 1e3, 1),
                _show(row['images_per_second'], 1, 1),
                _show(row['seconds'], 1, 0),
            ]
        )
    parts = ['# Suite', comparison.markdown((head, body)), _legend(suite, board, lines)]
    remarks = [*_remarks(records, suite), *(board.remarks if board is not None else ())]
    if remarks:
        parts += ['## Remarks', '\n'.join(f'- {remark}' for remark in remarks)]
    return '\n\n'.join(parts) + '\n'


def _spread(row: dict, metric: str) -> str:
    if row[metric] is None:
        return 'failed' if row['failure'] else '-'
    sd = row[f'{metric}_sd']
    return f'{100 * row[metric]:.2f}' + ('' if sd is None else f' ± {100 * sd:.2f}')


def _show(value: float | None, scale: float, digits: int) -> str:
    return '-' if value is None else f'{scale * value:,.{digits}f}'


def _legend(suite: Suite, board: object, lines: Sequence[Line]) -> str:
    from ...evaluation.comparison.report import STARS_SAID, test_name

    device = next((line.costs['device'] for line in lines if line.costs), 'cpu')
    threads = next((line.costs['threads'] for line in lines if line.costs), None)
    tested = 'the last' if suite.validations == 1 else f'the best by Dice of about {suite.validations} validations'
    text = (
        f'Budget of a run: {suite.budget}; seeds {", ".join(map(str, suite.seeds))}; tested is {tested} checkpoint. '
        'Dice, IoU: percent, mean over items, then mean ± standard deviation over seeds. '
    )
    if board is not None:
        text += (
            f'{len(board.runs[0].items):,} items in {board.groups.count:,} {board.groups.noun}s. The difference is of '
            f'per-item means over seeds, [{100 * board.options.confidence:g} % bootstrap interval over images]; it '
            f'does not hold the spread of seeds. Stars: {test_name(board)}, {STARS_SAID}. '
        )
    text += (
        'GMACs: convolutions and matrix products, attention among them, of one prediction at batch 1 with its text '
        "encoder (torch's FlopCounterMode / 2; no norms, activations, softmax, resizing). Latency: median of such a "
        f'prediction, rows in turn ({device}{f", threads: {threads}" if device == "cpu" else ""}). Images/s and '
        "seconds: of the training, from mmengine's log, without start, validation and test."
    )
    return text


def _remarks(records: Sequence[dict], suite: Suite) -> list[str]:
    remarks = [f'{row["row"]}: {row["failure"]}' for row in records if row['failure']]
    for row in records:
        if 0 < row['seeds'] < row['of_seeds']:
            remarks.append(f'{row["row"]}: {row["seeds"]} of {row["of_seeds"]} seeds are finished')
    sizes = {row['batch_size'] for row in records if row['batch_size'] is not None}
    if len(sizes) > 1 and suite.budget.unit == 'iterations':
        told = ', '.join(f'{row["row"]} {row["batch_size"]}' for row in records if row['batch_size'] is not None)
        remarks.append(f'equal iterations are not equal images here; batch sizes: {told}')
    if suite.budget.unit == 'seconds':
        for row in records:
            rate = row['measured_seconds_per_iteration']
            if rate is not None and row['iterations'] is not None:
                remarks.append(
                    f'{row["row"]}: {row["iterations"]} iterations, from {rate:.3f} s each as measured beforehand'
                    + _off(row['seconds'], suite.budget.amount)
                )
    return remarks


def _off(seconds: float | None, budget: float) -> str:
    if seconds is None or abs(seconds / budget - 1) <= TOLERANCE:
        return ''
    return f'; the machine was {"slower" if seconds > budget else "faster"} then, so that they took {seconds:.0f} s'


def write_all(lines: Sequence[Line], suite: Suite) -> tuple[str, bool]:
    """suite.md, suite.csv, suite.json and a box plot a metric, in the suite's folder.

    Returns:
        The text of suite.md; whether all of it came to its end.

    Raises:
        ConfigError: runs that cannot be compared.
    """
    from ...evaluation import comparison

    try:
        values, board = scores(lines, suite.rows[0].name)
    except comparison.LeaderboardError as error:
        raise ConfigError(f'the runs are finished and cannot be compared: {error}') from error
    records = as_records(lines, values, board)
    text = as_markdown(records, suite, board, lines)
    table = io.StringIO(newline='')
    writer = csv.DictWriter(table, list(records[0]))
    writer.writeheader()
    writer.writerows({key: '' if value is None else value for key, value in row.items()} for row in records)
    told = dict(
        format=FORMAT,
        budget=suite.budget._asdict(),
        seeds=list(suite.seeds),
        validations=suite.validations,
        options=list(suite.options),
        rows=records,
        per_seed=values,
        runs=[
            {**{key: value for key, value in task.record.items() if key != 'config'}, 'folder': str(task.folder)}
            for line in lines
            for task in line.tasks
        ],
        leaderboard=None if board is None else comparison.as_json(board),
    )
    _write(suite.out / 'suite.csv', table.getvalue())
    _write(suite.out / 'suite.json', json.dumps(told, indent=1, ensure_ascii=False))
    for measure in [] if board is None else board.measures:
        with whole_file(suite.out / f'{measure.name}.png', 'wb') as file:
            file.write(comparison.box_plot(board, measure))
    _write(suite.out / 'suite.md', text)
    whole = not any(line.failure for line in lines) and all(task.finished for line in lines for task in line.tasks)
    return text, whole


def _write(path: Path, text: str) -> None:
    with whole_file(path, encoding='utf-8', newline='') as file:
        file.write(text)
