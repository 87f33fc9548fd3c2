"""What was measured, as json with every time, and as a table."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from prettytable import PrettyTable, TableStyle

from ..fileio import whole_file
from . import plots
from .growth import find_series
from .measure import Spread, ratio

FORMAT = 1
HEAD = ('group', 'contender', 'median, ms', 'least', 'times as fast', 'GFLOP', 'GFLOP/s', 'of GEMM', 'tensors, MB')
PROCESS = 'process, MB'


def rows(group: dict, gemm: float) -> Iterator[list[str]]:
    """Cells of each contender: of ``HEAD``, and the process's memory.

    Args:
        group: from :func:`mmseg_textseg.benchmark.measure.measure`; ``process_bytes`` may be in it.
        gemm: GFLOP/s that the machine's matrix products reach.
    """
    seconds = {name: found['seconds'] for name, found in group['contenders'].items()}
    for name, found in group['contenders'].items():
        spread = Spread.of(found['seconds'])
        fast = ratio(seconds, group['reference'], name)
        gflop = None if not found['flops'] else found['flops'] / 1e9
        rate = gflop and gflop / spread.median
        yield [
            group['name'],
            name,
            f'{_ms(spread.median)} ({_ms(spread.low)} to {_ms(spread.high)})',
            _ms(spread.least),
            '1' if name == group['reference'] else f'{fast.median:.2f} ({fast.low:.2f} to {fast.high:.2f})',
            _number(gflop),
            _number(rate),
            _number(rate and 100 * rate / gemm, ' %'),
            _megabytes(found['tensor_bytes']),
            _megabytes(found.get('process_bytes')),
        ]


def _digits(value: float) -> str:
    return f'{value:,.0f}' if value >= 1000 else f'{value:.3g}'


def _ms(seconds: float) -> str:
    return _digits(1e3 * seconds)


def _number(value: float | None, unit: str = '') -> str:
    return '-' if value is None else f'{_digits(value)}{unit}'


def _megabytes(size: int | None) -> str:
    return _number(None if size is None else size / 1e6)


def table(groups: Sequence[dict], gemm: float) -> str:
    """Markdown; the process's memory has a column where it was measured."""
    cells = [row for group in groups for row in rows(group, gemm)]
    head = [*HEAD, PROCESS]
    if all(row[-1] == '-' for row in cells):
        head, cells = head[:-1], [row[:-1] for row in cells]
    return _markdown(head, cells)


def _markdown(head: Sequence[str], cells: Sequence[Sequence]) -> str:
    made = PrettyTable(list(head))
    made.set_style(TableStyle.MARKDOWN)
    made.align = 'l'
    made.add_rows(cells)
    return made.get_string()


def growth_table(groups: Sequence[dict]) -> str | None:
    """Markdown: exponent of each series; None where nothing was swept."""
    cells = []
    for one in find_series(groups):
        where = ', '.join(f'{key} {value:g}' for key, value in one.others.items())
        values = ', '.join(f'{value:g}' for value in one.values)
        cells.append([one.family, one.contender, one.axis, values, where or '-', f'{one.exponent:.2f}'])
    return _markdown(('groups', 'contender', 'axis', 'values', 'at', 'exponent'), cells) if cells else None


def as_markdown(record: dict) -> str:
    """Machine, table, growth, failures; ``record`` as :func:`write` takes it."""
    machine, peaks = record['machine'], record['peaks']
    parts = [
        '# Benchmark',
        f'{machine["processor"]}, {machine["threads"]} threads of {machine["cores"]} cores, torch {machine["torch"]}, '
        f'float32. Best of the machine, GFLOP/s: matrix products {peaks["gemm"]:.0f}, 3 x 3 convolutions '
        f'{peaks["conv3x3"]:.0f}, 1 x 1 convolutions {peaks["conv1x1"]:.0f}. Freed memory is '
        f'{"kept, as tools/train.py does" if machine["keeps_freed_memory"] else "given back to the system"}.',
    ]
    if record['groups']:
        jobs = {}
        for group in record['groups']:
            jobs.setdefault(group['job'], []).append(group)
        for job, those in jobs.items():
            parts += [f'## {job[0].upper()}{job[1:]}', table(those, peaks['gemm'])]
        parts.append(
            f'Contenders in turn, {record["repeats"]} rounds after {record["warmup"]}. Median, in brackets the '
            'quartiles. Times as fast as the group\'s reference ("1"): median and quartiles of the ratios within a '
            'round. GFLOP: two a multiply-accumulate of convolutions and matrix products; of GEMM: the share of the '
            'rate of matrix products. Tensors: the most that lived at once, over the start of the call; process: '
            'growth of its resident memory in a second call, in a new process.'
        )
    grown = growth_table(record['groups'])
    if grown:
        parts += ['## Growth', 'seconds ~ value ^ exponent, from the medians.', grown]
    if record['failures']:
        parts += ['## Failures', '\n'.join(f'- {line}' for line in record['failures'])]
    return '\n\n'.join(parts) + '\n'


def write(record: dict, folder: Path) -> None:
    """benchmark.json, benchmark.md, ratios.png where something is compared, growth.png where something was swept.

    Args:
        record: ``machine`` (:func:`mmseg_textseg.benchmark.machine.describe`), ``peaks``, ``repeats``, ``warmup``,
            ``groups``, ``failures``.
        folder: made where it is not there.
    """
    with whole_file(folder / 'benchmark.json', encoding='utf-8') as file:
        json.dump(dict(format=FORMAT, **record), file, indent=1, ensure_ascii=False, allow_nan=False)
    with whole_file(folder / 'benchmark.md', encoding='utf-8') as file:
        file.write(as_markdown(record))
    series = find_series(record['groups'])
    compared = [group for group in record['groups'] if len(group['contenders']) > 1]
    pictures = {'ratios.png': compared and plots.ratios(compared), 'growth.png': series and plots.growth(series)}
    for name, picture in pictures.items():
        if picture:
            with whole_file(folder / name, 'wb') as file:
                file.write(picture)
