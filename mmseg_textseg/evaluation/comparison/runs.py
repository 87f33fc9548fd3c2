"""Runs of tools/test.py --out: found below the folders given, named, read."""

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..protocols import PROTOCOLS

SCORES, SUMMARY = 'per_sample.csv', 'metrics.json'
TEXTS = ('sample_id', 'image', 'expression')
# Of the truth's foreground, of the prediction's, and all that count.
PIXELS = ('pixels', 'predicted_pixels', 'counted_pixels')


class LeaderboardError(ValueError):
    """Runs that cannot be compared, and why."""


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        name: in tables, unique.
        folder: where it was read from.
        items: its per_sample.csv, a row an item, indexed by sample_id; numbers are floats, NaN = undefined.
        summary: its metrics.json.
    """

    name: str
    folder: Path
    items: pd.DataFrame
    summary: dict

    @property
    def conditions(self) -> dict:
        """What the test did otherwise than usual: only what is set."""
        told = self.summary.get('conditions', {})
        return {key: value for key, value in told.items() if value is not None and value is not False}

    @property
    def settings(self) -> dict:
        """How its scores are defined: the rule for empty masks, the threshold, ..."""
        return self.summary.get('settings', {})

    @property
    def text_changed(self) -> bool:
        """The sentences are not the dataset's, on purpose."""
        return any('text' in key for key in self.conditions)

    @property
    def text_free(self) -> bool:
        """No item has a sentence."""
        return not (self.items['expression'] != '').any()

    @property
    def totals(self) -> dict[str, float]:
        """Values of the whole set, under the names that mmengine prints; NaN = undefined."""
        return {
            prefix + name: float('nan') if value is None else value
            for protocol, values in self.summary['protocols'].items()
            for prefix in [PROTOCOLS[protocol].PREFIX if protocol in PROTOCOLS else f'{protocol}_']
            for name, value in values.items()
        }


def find_runs(arguments: Sequence[str]) -> list[tuple[str, Path]]:
    """Names and folders of all runs in or below the folders given.

    Args:
        arguments: ``DIR`` or ``NAME=DIR``. Without a name a run is called by its folder, without what all unnamed
            runs have in common at the front and at the end (``a/lsms/test``, ``a/unet/test``: lsms, unet). Runs below
            a named folder are ``NAME/<path below it>``.

    Raises:
        LeaderboardError: no run in a folder; two runs of one name; one folder under two names.
    """
    named: dict[Path, str] = {}
    unnamed: dict[Path, None] = {}
    for argument in arguments:
        name, folder = _split(argument)
        if not folder.is_dir():
            raise LeaderboardError(f'{folder} is no folder; expected the DIR of tools/test.py --out DIR')
        found = [path.parent.resolve() for path in sorted(folder.rglob(SCORES))]
        if not found:
            raise LeaderboardError(
                f'no {SCORES} in or below {folder}: it is written by tools/test.py CONFIG CHECKPOINT --out DIR'
            )
        for run in found:
            if name is None:
                unnamed[run] = None
                continue
            below = run.relative_to(folder.resolve()).as_posix()
            called = name if below == '.' else f'{name}/{below}'
            if named.setdefault(run, called) != called:
                raise LeaderboardError(f'{run} was given two names, {named[run]!r} and {called!r}')
    rest = [run for run in unnamed if run not in named]
    runs = [*((name, run) for run, name in named.items()), *zip(_distinct(rest), rest, strict=True)]
    names = [name for name, _ in runs]
    for name, folder in runs:
        if names.count(name) > 1:
            raise LeaderboardError(f'two runs are called {name!r}, one of them {folder}: name them, NAME=DIR')
    return runs


def _split(argument: str) -> tuple[str | None, Path]:
    name, equals, folder = argument.partition('=')
    if not equals or Path(argument).is_dir():
        return None, Path(argument)
    if not name or not folder:
        raise LeaderboardError(f'{argument!r}: expected DIR or NAME=DIR')
    return name, Path(folder)


def _distinct(folders: list[Path]) -> list[str]:
    """Folders without the parts that all of them have in common at the front and at the end; at least one is kept."""
    parts = [folder.parts for folder in folders]
    if len(parts) > 1:
        # Of the folders above them: a run may lie in the folder of another.
        common = len(Path(os.path.commonpath([folder.parent for folder in folders])).parts)
        parts = [part[common:] for part in parts]
        while all(len(part) > 1 for part in parts) and len({part[-1] for part in parts}) == 1:
            parts = [part[:-1] for part in parts]
        return ['/'.join(part) for part in parts]
    return [folder.name for folder in folders]


def read_runs(found: Sequence[tuple[str, Path]]) -> list[Run]:
    """Read them.

    Raises:
        LeaderboardError: unfinished runs, and files that are not as tools/test.py writes them; all of them are named.
    """
    runs, faults = [], []
    for name, folder in found:
        try:
            runs.append(Run(name, folder, _read_items(folder / SCORES), _read_summary(folder / SUMMARY)))
            _check_number(runs[-1])
        except LeaderboardError as error:
            faults.append(f'{name}: {error}')
    if faults:
        raise LeaderboardError('\n  '.join(['these runs cannot be used:', *faults]))
    return runs


def _read_summary(path: Path) -> dict:
    if not path.is_file():
        raise LeaderboardError(f'unfinished: no {path}, which tools/test.py writes last; finish it or leave it out')
    try:
        summary = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:  # json's and unicode's
        raise LeaderboardError(f'{path} is no json: {error}') from error
    protocols = summary.get('protocols') if isinstance(summary, dict) else None
    if not isinstance(protocols, dict) or not all(isinstance(values, dict) for values in protocols.values()):
        raise LeaderboardError(f"{path} has no 'protocols' with their values: another version wrote it; test again")
    return summary


def _read_items(path: Path) -> pd.DataFrame:
    try:
        with path.open(newline='', encoding='utf-8') as file:
            head, *rows = list(csv.reader(file, strict=True)) or [[]]
    except (csv.Error, UnicodeError) as error:
        raise LeaderboardError(f'{path} is no csv: {error}') from error
    for number, row in enumerate(rows, 2):
        if len(row) != len(head):
            raise LeaderboardError(f'{path} row {number}: {len(row)} cells; expected {len(head)}, as in the first row')
    items = pd.DataFrame(rows, columns=head, dtype=str)
    absent = [column for column in TEXTS if column not in items]
    if absent:
        raise LeaderboardError(f'{path} has no column {", ".join(absent)}; it has: {", ".join(head) or "nothing"}')
    if items.empty:
        raise LeaderboardError(f'{path} has no rows')
    twice = items['sample_id'].duplicated()
    if twice.any():
        raise LeaderboardError(
            f'{path} row {twice.argmax() + 2}: sample_id {items["sample_id"][twice.argmax()]!r} stands there twice '
            f'({twice.sum()} such rows); expected one row an item'
        )
    items = items.set_index('sample_id', drop=False)
    for column in items.columns.difference(TEXTS):
        # A column of words, as a case's name, stays one.
        numbers = pd.to_numeric(items[column].where(items[column] != ''), errors='coerce')
        if not (numbers.isna() & (items[column] != '')).any():
            items[column] = numbers.astype(float)
    return items


def _check_number(run: Run) -> None:
    told = run.summary.get('items', len(run.items))
    if told != len(run.items):
        raise LeaderboardError(
            f'{run.folder / SUMMARY} says {told} items, {SCORES} has {len(run.items)}: not of one run; test it again'
        )
