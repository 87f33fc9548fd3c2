"""What is compared: means of per-item scores, and ratios of pixels summed over the set.

Both are a formula of sums over items, so one way of resampling serves both: a mean is sum(score) / sum(1).
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from .. import overlap
from .runs import PIXELS, TEXTS, LeaderboardError, Run

# Scores of pixels summed over the set; see evaluation/protocols.py.
SUMMED = dict(
    pooled_dice=overlap.dice,
    pooled_iou=overlap.iou,
    pooled_miou=overlap.mean_iou,
    pooled_acc=overlap.accuracy,
    pooled_precision=overlap.precision,
    pooled_recall=overlap.recall,
    ris_oiou=overlap.iou,
    gres_ciou=overlap.iou,
)
# Means over items whose column has another name.
COLUMN_OF = dict(ris_miou='ris_iou', gres_giou='gres_iou')
# Precision@X: the share of items whose ris_iou is X or more.
SHARE = re.compile(r'ris_p(\d\d)')
LENGTHS = ('_mm', '_px')
HEADINGS = dict(dice='Dice', iou='IoU', miou='mIoU', acc='Acc')


class Measure(NamedTuple):
    """A metric as it is compared.

    Attributes:
        name: in per_sample.csv or metrics.json.
        formula: value of the sums of its terms, arrays of one shape -> one such array; None where the runs have only
            the value of the whole set.
        per_item: it is a mean of per-item scores.
        scale: 100 for fractions, shown in percent; 1 for what has a unit of its own.
        lower: small values are good.
    """

    name: str
    formula: Callable[..., np.ndarray] | None
    per_item: bool
    scale: int
    lower: bool

    @property
    def heading(self) -> str:
        """In tables: ``'Dice'``, ``'pooled IoU'``, ``'boundary_hd95_mm'``."""
        before, pooled, name = self.name.rpartition('pooled_')
        return f'{before}{"pooled " if pooled else ""}{HEADINGS.get(name, name)}'

    def terms(self, run: Run) -> np.ndarray:
        """What is summed, (terms, items): scores and ones, or pixels; NaN where the run has no value."""
        if not self.per_item:
            return _counts(run, self.name)
        scores = _scores(run, self.name)
        return np.stack([scores, np.where(np.isnan(scores), np.nan, 1.0)])


def find_measures(runs: Sequence[Run], names: Sequence[str], lower: Sequence[str]) -> tuple[list[Measure], list[str]]:
    """The metrics that all runs have.

    Args:
        runs: aligned.
        names: columns of per_sample.csv and metrics of metrics.json. One of these that cannot be worked out of items
            has a value and no interval.
        lower: those of them that are good when small; lengths are without being named.

    Returns:
        Measures in the order of ``names``; remarks on what was left out.

    Raises:
        LeaderboardError: a name that no run has; none that all have.
    """
    for wanted in (names, lower):
        unknown = [name for name in wanted if not any(_has(run, name) for run in runs)]
        if unknown:
            raise LeaderboardError(f'no run has {", ".join(unknown)}; there are: {", ".join(known_names(runs))}')
    measures, remarks = [], []
    for name in dict.fromkeys(names):
        without = [run.name for run in runs if not _has_items(run, name)]
        in_items = not without
        if without and not all(name in run.totals for run in runs):
            remarks.append(f'{name} is left out: not in {", ".join(without)}')
            continue
        measures.append(_measure(runs, name, in_items, name in lower or name.endswith(LENGTHS)))
        if not in_items:
            remarks.append(f'{name}: a value of the whole set alone, so no interval and no test')
    if not measures:
        raise LeaderboardError('\n  '.join(['no metric is in all runs:', *remarks]))
    return measures, remarks


def check_rules(runs: Sequence[Run], measures: Sequence[Measure]) -> list[str]:
    """Whether scores mean the same in all runs, by the settings of the tests that the metrics depend on.

    Returns:
        Remarks on other thresholds, which are a model's affair.

    Raises:
        LeaderboardError: another rule for empty masks, ignored pixels, or the least pixels of a prediction in gres.
    """
    faults, remarks = [], []
    for run in runs[1:]:
        for key, mine in run.settings.items():
            theirs = runs[0].settings.get(key, mine)
            concerned = [measure.name for measure in measures if _depends(measure.name, key)]
            if mine != theirs and concerned:
                text = f'{run.name} was tested with {key}={mine!r}, {runs[0].name} with {key}={theirs!r}'
                (remarks if key == 'threshold' else faults).append(f'{text}, for {", ".join(concerned)}')
    if faults:
        raise LeaderboardError('\n  '.join(['scores of several meanings:', *faults, 'test them alike']))
    return remarks


def _depends(name: str, setting: str) -> bool:
    if setting == 'gres_min_pixels':
        return name.startswith('gres_')
    # The other protocols have rules of their own.
    return setting != 'empty' or not name.startswith(('pooled_', 'ris_', 'gres_'))


def known_names(runs: Sequence[Run]) -> list[str]:
    """Metrics of any run: first those of its columns."""
    names = [name for run in runs for name in (*_numbers(run), *SUMMED, *run.totals) if _has(run, name)]
    return [name for name in dict.fromkeys(names) if name not in PIXELS]


def _numbers(run: Run) -> list[str]:
    return [name for name in run.items if name not in TEXTS and run.items[name].dtype == float]


def _needs(name: str) -> set[str]:
    if name in SUMMED:
        return {'dice', *PIXELS}
    if name in ('gres_n_acc', 'gres_t_acc'):
        return set(PIXELS)
    return {'ris_iou' if SHARE.fullmatch(name) else COLUMN_OF.get(name, name)}


def _has_items(run: Run, name: str) -> bool:
    return _needs(name) <= set(_numbers(run))


def _has(run: Run, name: str) -> bool:
    return _has_items(run, name) or name in run.totals


def _measure(runs: Sequence[Run], name: str, in_items: bool, lower: bool) -> Measure:
    summed = name in SUMMED
    if not in_items:
        values, formula = np.array([run.totals[name] for run in runs], float), None
    elif summed:
        values, score = np.concatenate([_counts(run, name) for run in runs], axis=1), SUMMED[name]
        # A Python call a resample takes milliseconds, and the value is that of metrics.json.
        formula = np.vectorize(lambda *counts: score(overlap.Counts(*counts), np.nan), otypes=[float])
    else:
        values, formula = np.concatenate([_scores(run, name) for run in runs]), np.divide
    if np.isinf(values).any():
        raise LeaderboardError(f'{name} is infinite somewhere; expected numbers, and empty cells where undefined')
    fractions = not name.endswith(LENGTHS) and (np.isnan(values) | ((values >= 0) & (values <= 1))).all()
    return Measure(name, formula, in_items and not summed, 100 if fractions or summed else 1, lower)


def _scores(run: Run, name: str) -> np.ndarray:
    """(items,), NaN = undefined."""
    if name in ('gres_n_acc', 'gres_t_acc'):
        truth, predicted, _ = _pixels(run)
        silent = predicted < _min_pixels(run)
        if name == 'gres_n_acc':
            return np.where(truth == 0, silent, np.nan)
        return np.where(truth > 0, ~silent, np.nan)
    if name in run.items:  # also the shares of several seeds
        return run.items[name].to_numpy(float)
    (column,) = _needs(name)
    values = run.items[column].to_numpy(float)
    share = SHARE.fullmatch(name)
    return values if share is None else np.where(np.isnan(values), np.nan, values >= int(share[1]) / 100)


def _counts(run: Run, name: str) -> np.ndarray:
    """tp, fp, fn, tn: (4, items)."""
    truth, predicted, counted = _pixels(run)
    # Dice has six decimals: exact up to two million pixels of foreground in both, and to a millionth beyond. It may be
    # anything, or undefined, where both are empty.
    both = truth + predicted
    tp = np.where(both == 0, 0, np.rint(run.items['dice'].to_numpy(float) * both / 2))
    if name == 'gres_ciou':
        kept = predicted >= _min_pixels(run)
        tp, predicted = tp * kept, predicted * kept
    return np.stack([tp, predicted - tp, truth - tp, counted - truth - predicted + tp])


def _pixels(run: Run) -> np.ndarray:
    return run.items[list(PIXELS)].to_numpy(float).T


def _min_pixels(run: Run) -> int:
    return run.settings.get('gres_min_pixels', 1)
