"""One expression for a whole picture: how its lesions are spread, how many, and where."""

from collections.abc import Mapping, Sequence

import numpy as np

from .attributes import place_words, words_of
from .grammar import fill, finish, place_phrase
from .lesions import Lesion

QUADRANTS = ('upper left', 'upper right', 'lower left', 'lower right')
HALVES = {'upper': (0, 1), 'lower': (2, 3), 'left': (0, 2), 'right': (1, 3)}


def quadrant_density(mask: np.ndarray, organ: np.ndarray | None = None) -> np.ndarray:
    """Covered share of each quadrant over that of the whole, (4,): upper left, upper right, lower left, lower right.

    Args:
        mask: (H, W) bool.
        organ: (H, W) bool; only its pixels count, and the quadrants are those of its bounding box.

    Returns:
        1 where all are even; ``nan`` for a quadrant without pixels.
    """
    organ = np.ones(mask.shape, bool) if organ is None else organ
    rows, columns = (np.flatnonzero(organ.any(axis)) for axis in (1, 0))
    if not len(rows) or not (mask & organ).any():
        return np.full(4, np.nan)
    y, x = (int(n[0] + n[-1] + 1) // 2 for n in (rows, columns))
    parts = [(slice(0, y), slice(0, x)), (slice(0, y), slice(x, None)), (slice(y, None), slice(0, x))]
    parts.append((slice(y, None), slice(x, None)))
    whole = mask[organ].mean()
    return np.array([mask[p][organ[p]].mean() / whole if organ[p].any() else np.nan for p in parts])


def picture_sentence(
    lesions: Sequence[Lesion], template: Mapping, organ: np.ndarray | None = None
) -> tuple[str, dict[str, str | int | float | None]]:
    """The expression of a picture and what it says.

    Args:
        lesions: those that count; none is legal.
        template: of unit picture.
        organ: (H, W) bool, what "where" is relative to.

    Returns:
        The sentence, and columns ``count``, ``spread``, ``where`` (``None``: not certain), ``cover`` and
        ``unevenness`` where the picture is dense.
    """
    count = len(lesions)
    noun = template['noun'] if count == 1 else template['plural']
    if not lesions:
        slots = dict(noun=template['plural'], organ=template['organ'])
        return _say('empty', template, slots), dict(count=0, spread=None, where=None)
    dense = count >= template['dense_from']
    spread, where, figures = (_dense if dense else _few)(lesions, template, organ)
    if dense:
        measure = template['measures']['number']
        # Of two that are possible the lesser: "over a hundred" is true of more, too.
        number = next(word for word in measure['words'] if word in words_of(count, measure))
    else:
        number = template['numbers'][count - 1]
    told = template['spread'].get(spread)
    slots = dict(spread=told, number=number, where=where, noun=noun, organ=template['organ'])
    sentence = _say('dense' if dense else 'few', template, slots)
    return sentence, dict(count=count, spread=told, where=where, **figures)


def _say(kind: str, template: Mapping, slots: Mapping[str, str | None]) -> str:
    filled = {name: word or '' for name, word in slots.items()}
    # A field whose own slot is unknown is no field, whether in brackets or not.
    fields = [fill(f if '[' in f else f'[{f}]', filled) for f in template['fields'][kind]]
    return finish(', '.join(field.strip() for field in fields if field.strip()))


def _few(lesions, template, organ) -> tuple[str | None, str | None, dict]:
    measures, names = template['measures'], []
    sides: list[frozenset[str] | None] = []
    complete = True
    for lesion in lesions:
        words, _ = place_words(lesion, measures, organ)
        sides.append(words['horizontal'])
        sure = {axis: next(iter(w)) for axis, w in words.items() if w and len(w) == 1}
        complete &= len(sure) == 2
        name = place_phrase(sure, template['joined'])
        if len(sure) == 2 and name not in names:
            names.append(name)
    first, last = (measures['horizontal' + ('_in_picture' * (organ is None))]['words'][i] for i in (0, -1))
    left, right = frozenset([first]) in sides, frozenset([last]) in sides
    spread = 'one' if len(lesions) == 1 else 'both sides' if left and right else None
    if spread is None and set(sides) <= {frozenset([first])} | {frozenset([last])}:
        spread = 'one side'
    # A list that misses a place says too little, and reads as if it were all.
    where = ' and '.join([', '.join(names[:-1]), names[-1]] if len(names) > 1 else names) if complete else None
    return spread, where, {}


def _dense(lesions, template, organ) -> tuple[str | None, str | None, dict]:
    measures = template['measures']
    mask = lesions[0].labels > 0
    density = quadrant_density(mask, organ)
    cover = float(mask.mean() if organ is None else (mask & organ).sum() / max(organ.sum(), 1))
    uneven = float(np.nanmax(density)) if not np.isnan(density).all() else np.nan
    covered, even = words_of(cover, measures['cover']), words_of(uneven, measures['unevenness'])
    sparse, regular = measures['cover']['words'][0], measures['unevenness']['words'][0]
    spread = where = None
    if even is not None and len(even) == 1:
        spread = 'even' if regular in even else 'uneven'
        if spread == 'uneven':
            where = _densest(density)
    if covered == {sparse} and spread != 'uneven':
        spread = 'sparse'
    return spread, where, dict(cover=round(cover, 4), unevenness=round(uneven, 3))


def _densest(density: np.ndarray) -> str | None:
    """The densest quadrant if by 5 %, else the half of which both quadrants are denser than the others by as much."""
    order = np.argsort(-np.nan_to_num(density))
    if density[order[0]] >= 1.05 * density[order[1]]:
        return QUADRANTS[order[0]]
    halves = [name for name, pair in HALVES.items() if set(pair) == set(order[:2].tolist())]
    return halves[0] if halves and density[order[1]] >= 1.05 * np.nan_to_num(density)[order[2]] else None
