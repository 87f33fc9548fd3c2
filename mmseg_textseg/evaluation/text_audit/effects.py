"""What a condition changes, over the items whose sentence it changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..comparison.significance import Interval, bootstrap_interval
from .conditions import Condition
from .items import Scored, Vocabulary, Words


@dataclass(frozen=True)
class Effect:
    """A condition against the full text, on the same items; Dice and IoU as fractions of 1.

    Attributes:
        condition: what was done.
        changed: items whose token ids it changed; the others are left out of all that follows.
        groups: cases or images among them.
        full, dice: mean Dice with full text, and under the condition.
        difference: ``dice - full`` with its interval, groups drawn with replacement.
        full_iou, iou: the same of IoU.
        words: of the condition's sentences.
        full_words: of the full ones.
    """

    condition: Condition
    changed: int
    groups: int
    full: float
    dice: float
    difference: Interval
    full_iou: float
    iou: float
    words: Words
    full_words: Words

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.difference.low > 0 or self.difference.high < 0


def measure(
    condition: Condition, full: Mapping[str, Scored], scored: Sequence[Scored], vocabulary: Vocabulary, seed: int
) -> Effect:
    """Compare a condition with the full text.

    Args:
        condition: what was done.
        full: sample id -> item under full text.
        scored: items under the condition.
        vocabulary: of the model.
        seed: of the bootstrap.
    """
    pairs = [(full[one.sample_id], one) for one in scored if one.ids != full[one.sample_id].ids]
    before, after = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    interval = mean_interval([b.dice - a.dice for a, b in pairs], [one.group for one in after], seed)
    return Effect(
        condition=condition,
        changed=len(pairs),
        groups=len({one.group for one in after}),
        full=_mean([one.dice for one in before]),
        dice=_mean([one.dice for one in after]),
        difference=interval,
        full_iou=_mean([one.iou for one in before]),
        iou=_mean([one.iou for one in after]),
        words=vocabulary.count(after),
        full_words=vocabulary.count(before),
    )


def mean_interval(values: Sequence[float], groups: Sequence[str], seed: int) -> Interval:
    """Mean over items with the 95 % interval of drawing whole groups."""
    _, codes = np.unique(groups, return_inverse=True)
    sums = np.stack([np.bincount(codes, values), np.bincount(codes)]) if len(values) else np.zeros((2, 0))
    return bootstrap_interval(sums, lambda total, number: total / number, seed=seed)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float('nan')


@dataclass(frozen=True)
class Followed:
    """Contradicted sentences that name another annotated thing of the same image.

    Attributes:
        items: how many.
        own: mean Dice with the mask of the sentence before it was contradicted.
        other: mean Dice with the mask of the thing that the contradicted sentence names.
    """

    items: int
    own: float
    other: float


def followed(full: Mapping[str, Scored], contradicted: Sequence[Scored]) -> Followed | None:
    """Whether a model marks what a contradicted sentence names, where the table says what that is; None if nowhere.

    Image and sentence decide about a prediction, so that the one for the contradicted sentence is that of the row that
    has this sentence, whose Dice is known.
    """
    rows = {(one.group, one.image, one.text.lower()): one for one in full.values()}
    found = [(one, rows.get((one.group, one.image, one.text.lower()))) for one in contradicted]
    pairs = [(one, other) for one, other in found if other is not None and other.mask != one.mask]
    if not pairs:
        return None
    return Followed(len(pairs), _mean([one.dice for one, _ in pairs]), _mean([other.dice for _, other in pairs]))
