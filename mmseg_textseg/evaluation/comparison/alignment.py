"""The same items in every run, in one order: or a refusal that says which run has what."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from .runs import SCORES, LeaderboardError, Run

SHOWN = 3
# Of the truth alone, whatever was predicted.
TRUTH = ('pixels', 'counted_pixels')


def align(runs: Sequence[Run], other_text: bool = False) -> tuple[list[Run], list[str]]:
    """Bring the items of all runs into the first one's order.

    Args:
        runs: at least one.
        other_text: sentences may differ between any runs, not only in those that changed them on purpose.

    Returns:
        The runs; remarks on what differs and is allowed to.

    Raises:
        LeaderboardError: other sample_ids, or the same with another image, truth or expression.
    """
    _check_ids(runs)
    order = runs[0].items.index
    runs = [replace(run, items=run.items.loc[order]) for run in runs]
    faults = [fault for run in runs[1:] for fault in _other_image(run, runs[0])]
    told, remarks = _texts(runs, other_text)
    faults += told
    if faults:
        raise LeaderboardError('\n  '.join(['runs not on the same samples:', *faults]))
    return runs, remarks


def _check_ids(runs: Sequence[Run]) -> None:
    """All runs against the set of ids that most of them have (of equally many, the first)."""
    sets = [frozenset(run.items.index) for run in runs]
    wanted, _ = Counter(sets).most_common(1)[0]
    base = runs[sets.index(wanted)]
    agree = [run.name for run, ids in zip(runs, sets, strict=True) if ids == wanted]
    faults = []
    for run, ids in zip(runs, sets, strict=True):
        missing = [one for one in base.items.index if one not in ids]
        more = [one for one in run.items.index if one not in wanted]
        parts = [f'lacks {len(missing):,} of {len(wanted):,} ({_few(missing)})'] if missing else []
        parts += [f'has {len(more):,} that they have not ({_few(more)})'] if more else []
        if parts:
            faults.append(f'{run.name}: {" and ".join(parts)}')
    if faults:
        raise LeaderboardError(
            '\n  '.join(
                [
                    f'runs not on the same samples; by sample_id, against {", ".join(agree)} ({len(wanted):,} items):',
                    *faults,
                    'test them on the same data, or leave them out',
                ]
            )
        )


def _other_image(run: Run, base: Run) -> list[str]:
    faults = []
    columns = [column for column in ('image', *TRUTH) if column in run.items and column in base.items]
    for column in columns:
        mine, theirs = run.items[column], base.items[column]
        differ = (mine != theirs) & ~(mine.isna() & theirs.isna())
        if differ.any():
            what = 'image' if column == 'image' else f'truth or size of evaluation ({column})'
            faults.append(f'{run.name} has another {what} than {base.name} for {_examples(mine, theirs, differ)}')
    return faults


def _texts(runs: Sequence[Run], other_text: bool) -> tuple[list[str], list[str]]:
    """Faults and remarks."""
    faults, remarks = [], []
    told = [run for run in runs if not run.text_changed and not run.text_free]
    for run in runs:
        if run.text_changed:
            remarks.append(
                f'{run.name}: its sentences were changed on purpose ({describe(run)}); compared as a control'
            )
        elif run.text_free and told:
            remarks.append(f'{run.name}: no sentences in its {SCORES}; compared by image and truth')
    for run in told[1:]:
        mine, theirs = run.items['expression'], told[0].items['expression']
        differ = mine != theirs
        if differ.any():
            fault = f'{run.name} has another expression than {told[0].name} for {_examples(mine, theirs, differ)}'
            if other_text:
                remarks.append(fault)
            else:
                faults.append(f'{fault}; if that is meant, as with another prompt: --other-text')
    return faults, remarks


def _examples(mine: pd.Series, theirs: pd.Series, differ: pd.Series) -> str:
    rows = [f'{one}: {_short(mine[one])} against {_short(theirs[one])}' for one in differ.index[differ][:SHOWN]]
    return f'{differ.sum():,} of {len(differ):,} ({"; ".join(rows)}{"; ..." if differ.sum() > SHOWN else ""})'


def _short(value: str | float) -> str:
    if not isinstance(value, str):
        return f'{value:g}'
    return repr(value if len(value) <= 60 else f'{value[:57]}...')


def _few(names: list[str]) -> str:
    return ', '.join(map(str, names[:SHOWN])) + (', ...' if len(names) > SHOWN else '')


def describe(run: Run) -> str:
    """Its conditions in words: ``'shuffled text, partial text 0.5'``; empty for a plain test."""
    return ', '.join(f'{key.replace("_", " ")}{_value(value)}' for key, value in run.conditions.items())


def _value(value: object) -> str:
    if value is True:
        return ''
    return f' {"+".join(map(str, value)) if isinstance(value, list) else value}'
