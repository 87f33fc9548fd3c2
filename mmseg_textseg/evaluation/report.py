"""What an evaluation leaves: a table to read, per_sample.csv, metrics.json."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from prettytable import PrettyTable

from ..fileio import whole_file
from .protocols import Item, Protocol, Score

# A length is no share of anything.
_LENGTHS = ('_mm', '_px')
FIRST_COLUMNS = ('sample_id', 'image', 'expression', 'dice', 'iou', 'pixels', 'predicted_pixels', 'counted_pixels')


def table(protocol: Protocol, scores: Mapping[str, Score], items: Sequence[Item]) -> str:
    """A protocol's values as a block of text: percent, lengths in their unit, '-' where undefined."""
    made = PrettyTable([protocol.HEADINGS[name] for name in scores])
    made.add_row([_shown(name, score.value) for name, score in scores.items()])
    if any(score.items != len(items) for score in scores.values()):
        made.add_row([f'{score.items} items' for score in scores.values()])
    note = protocol.note(items)
    return f'{protocol.NAME}: {protocol.TITLE} ({len(items)} items{"; " if note else ""}{note})\n{made}'


def _shown(name: str, value: float) -> str:
    if math.isnan(value):
        return '-'
    return f'{value if name.endswith(_LENGTHS) else 100 * value:.2f}'


def write_samples(path: Path, rows: Sequence[dict], items: Sequence[Item], values: Sequence[Mapping]) -> None:
    """Write per_sample.csv.

    Args:
        path: the file.
        rows: ``sample_id``, ``image`` and ``expression`` of each item.
        items: its pixels.
        values: its values under the names of the columns, ``dice`` and ``iou`` among them; NaN is an empty cell.
    """
    later = [name for name in dict.fromkeys(name for row in values for name in row) if name not in FIRST_COLUMNS]
    with whole_file(path, newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, [*FIRST_COLUMNS, *later], restval='')
        writer.writeheader()
        for row, item, found in zip(rows, items, values, strict=True):
            tp, fp, fn, _ = counts = item.counts
            writer.writerow(
                {
                    **{name: row[name] for name in ('sample_id', 'image', 'expression')},
                    **{name: '' if math.isnan(value) else f'{value:.6f}' for name, value in found.items()},
                    **dict(pixels=tp + fn, predicted_pixels=tp + fp, counted_pixels=sum(counts)),
                }
            )


def write_summary(path: Path, scores: Mapping[str, Mapping[str, Score]], items: int, info: Mapping) -> None:
    """Write metrics.json.

    Args:
        path: the file.
        scores: protocol -> value -> score.
        items: number of items of the set.
        info: what else stands in it; its ``name`` comes first.
    """
    summary = dict(
        **{key: value for key, value in info.items() if key == 'name'},
        protocols={
            protocol: {name: None if math.isnan(score.value) else score.value for name, score in found.items()}
            for protocol, found in scores.items()
        },
        items=items,
        averaged_items={
            protocol: {name: score.items for name, score in found.items()} for protocol, found in scores.items()
        },
        **{key: value for key, value in info.items() if key != 'name'},
    )
    with whole_file(path, encoding='utf-8') as file:
        json.dump(summary, file, indent=2)
