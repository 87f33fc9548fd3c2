"""An audit as a table, as JSON and as a csv with an item a row."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prettytable import PrettyTable

from ...fileio import whole_file
from .audit import Audit
from .conditions import Condition
from .effects import Effect
from .verdict import percent, verdict

HEADINGS = ('condition', 'items', 'full text', 'Dice', 'difference', '95 % interval', 'unknown', 'in pieces')
LEGEND = (
    'Percent. items: those whose sentence the condition changed, and over which all else is worked out. full text: '
    'Dice with the true sentence. unknown, in pieces: share of words that the vocabulary does not have, or only in '
    'pieces.'
)
FORMAT = 1


def rows(audit: Audit) -> list[tuple[str, ...]]:
    """Cells of the table, the full text first."""
    words = audit.words
    value, low, high, _ = audit.full
    shares = (percent(words.share(words.unknown)), percent(words.share(words.pieces)))
    table = [('full text', f'{audit.items}', '', percent(value), '', _interval(low, high), *shares)]
    for effect in audit.effects:
        words, difference = effect.words, effect.difference
        table.append(
            (
                effect.condition.title,
                f'{effect.changed}',
                percent(effect.full),
                percent(effect.dice),
                percent(difference.value, sign='+'),
                _interval(difference.low, difference.high, sign='+'),
                percent(words.share(words.unknown)),
                percent(words.share(words.pieces)),
            )
        )
    return table


def as_text(audit: Audit) -> str:
    """The table for a terminal."""
    made = PrettyTable(HEADINGS, align='r')
    made.align['condition'] = 'l'
    made.add_rows(rows(audit))
    return f'{made}\n{LEGEND}'


def as_markdown(audit: Audit, title: str) -> str:
    """Verdict and table."""
    lines = [f'# Is the text used? {title}', '', *(f'- {sentence}' for sentence in verdict(audit)), '']
    lines += [f'| {" | ".join(HEADINGS)} |', f'|---|{"---:|" * (len(HEADINGS) - 1)}']
    lines += [f'| {" | ".join(row)} |' for row in rows(audit)]
    lines += ['', LEGEND, '']
    lines += [f'Not possible with this dataset: {name}: {why}' for name, why in audit.absent.items()]
    return '\n'.join(lines)


def as_json(audit: Audit, info: Mapping[str, Any]) -> dict:
    """All of it, fractions of 1, null where undefined. ``format`` changes when a key changes its meaning."""
    value, low, high, method = audit.full
    found = dict(
        format=FORMAT,
        **info,
        items=audit.items,
        groups=audit.groups,
        grouped_by=audit.noun,
        full=dict(dice=value, low=low, high=high, interval=method, iou=audit.full_iou, **audit.words._asdict()),
        conditions=[_effect(effect) for effect in audit.effects],
        not_possible=audit.absent,
        followed=None if audit.followed is None else vars(audit.followed),
        verdict=verdict(audit),
    )
    return _defined(found)


def _effect(effect: Effect) -> dict:
    condition, difference = effect.condition, effect.difference
    return dict(
        name=condition.name,
        title=condition.title,
        kind=condition.kind,
        options=condition.options,
        items=effect.changed,
        groups=effect.groups,
        full_dice=effect.full,
        dice=effect.dice,
        difference=difference.value,
        low=difference.low,
        high=difference.high,
        interval=difference.method,
        full_iou=effect.full_iou,
        iou=effect.iou,
        words=effect.words._asdict(),
        full_words=effect.full_words._asdict(),
    )


def write_items(audit: Audit, conditions: list[Condition], path: Path) -> None:
    """Write a row an item, in the order of the set; Dice under each condition, empty where its sentence is the same."""
    names = [condition.name for condition in conditions if audit.scored.get(condition.name)]
    dice = {name: {one.sample_id: one.dice for one in audit.scored[name]} for name in names}
    with whole_file(path, newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(['sample_id', 'image', 'group', 'expression', *names])
        for one in audit.scored['full']:
            values = [dice[name].get(one.sample_id) for name in names]
            cells = ['' if value is None else f'{value:.6f}' for value in values]
            writer.writerow([one.sample_id, one.image, one.group, one.text, *cells])


def _interval(low: float, high: float, sign: str = '') -> str:
    return '-' if math.isnan(low) else f'{percent(low, sign)} to {percent(high, sign)}'


def _defined(value: Any) -> Any:
    """NaN is no JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _defined(one) for key, one in value.items()}
    return [_defined(one) for one in value] if isinstance(value, (list, tuple)) else value
