"""Measures -> words, with a margin in which there is no word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .lesions import Lesion
from .places import label_shares, lobe_shares, place_in_organ, place_in_picture

SHARE = 0.75  # of a lesion's pixels in one segment or lobe, from which it lies there; below the rest it does not
EXACT = {'diameter_mm': 0.5}  # what a diameter is rounded to; in pixels it would be untrue once pictures are resized
TOLERANCE = 0.1  # of a diameter: within it, or one step of rounding, another lesion may be meant


@dataclass(frozen=True)
class Attributes:
    """What can be said of one lesion.

    Attributes:
        words: attribute -> the words that may be true of it. One word is certain; ``None`` is any word at all.
        numbers: attribute -> exact value (diameters).
        superlatives: those that are certain of it among all lesions of the picture.
    """

    words: Mapping[str, frozenset[str] | None]
    numbers: Mapping[str, float]
    superlatives: frozenset[str] = frozenset()

    def sure(self) -> dict[str, str | float]:
        """Attribute -> the word or rounded number that is certain."""
        found: dict[str, str | float] = {name: next(iter(w)) for name, w in self.words.items() if w and len(w) == 1}
        return found | {name: rounded(name, value) for name, value in self.numbers.items()}


def rounded(name: str, value: float) -> float:
    """A diameter as a sentence says it: to 0.5 mm."""
    return round(value / EXACT[name]) * EXACT[name]


def words_of(value: float, measure: Mapping) -> frozenset[str] | None:
    """The words whose range a value is in, or within the margin of; ``None`` (any) of ``nan``."""
    if np.isnan(value):
        return None
    edges, words = measure['edges'], measure['words']
    found = set()
    for i, word in enumerate(words):
        margin = [measure.get('margin', abs(edge) * measure.get('margin_share', 0)) for edge in edges]
        low = -np.inf if i == 0 else edges[i - 1] - margin[i - 1]
        high = np.inf if i == len(edges) else edges[i] + margin[i]
        if low < value < high:
            found.add(word)
    return frozenset(found)


def describe(
    lesions: Sequence[Lesion],
    template: Mapping,
    organ: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    spacing: float | None = None,
) -> list[Attributes]:
    """What can be said of each lesion of a picture.

    Args:
        lesions: all of them.
        template: of unit lesion.
        organ: (H, W) bool.
        labels: (H, W) int, parts of the organ by the numbers of ``template['segments']``.
        spacing: mm a pixel.
    """
    firsts = _superlatives(lesions, template)
    return [
        _describe_one(lesion, template, organ, labels, spacing, first)
        for lesion, first in zip(lesions, firsts, strict=True)
    ]


def place_words(lesion: Lesion, measures: Mapping, organ: np.ndarray | None) -> tuple[dict, str]:
    """Words of ``horizontal`` and ``vertical``, and the suffix of their measures: ``''`` or ``'_in_picture'``."""
    suffix = '_in_picture' if organ is None else ''
    x, y = place_in_picture(lesion) if organ is None else place_in_organ(lesion, organ)
    return {
        'horizontal': words_of(x, measures['horizontal' + suffix]),
        'vertical': words_of(y, measures['vertical' + suffix]),
    }, suffix


def _describe_one(lesion, template, organ, labels, spacing, first) -> Attributes:
    measures = template['measures']
    words, _ = place_words(lesion, measures, organ)
    if labels is not None:
        shares = label_shares(lesion, labels, template['segments'])
        words['segment'] = _parts(shares)
        words['side'] = _parts(lobe_shares(shares, template['lobes']))
    longest = max(lesion.labels.shape)
    # Of a lesion that is cut off by the picture's border neither size nor shape is known.
    if spacing is None:
        words['size'] = None if lesion.is_cut else words_of(lesion.diameter / longest, measures['size_share'])
        numbers = {}
    else:
        words['size'] = None if lesion.is_cut else words_of(lesion.diameter * spacing, measures['size_mm'])
        numbers = {'diameter_mm': lesion.diameter * spacing}
    words['shape'] = _shape(lesion, template)
    doubtful = organ is None and not template['boundary_without_organ']
    doubtful |= lesion.diameter < template['boundary_from_diameter']
    words['boundary'] = None if doubtful else words_of(lesion.edge_width, measures['boundary'])
    words['density'] = _density(lesion, measures['density'])
    if lesion.is_cut or lesion.is_small:
        words |= dict.fromkeys(numbers)
        numbers = {}
    return Attributes(words, numbers, first)


def _parts(shares: Mapping[str, float]) -> frozenset[str] | None:
    if not shares:
        return None
    sure = [name for name, share in shares.items() if share >= SHARE]
    # Nowhere certain: wherever a noteworthy share is; 'elsewhere' keeps a single such part from being certain.
    maybe = [name for name, share in shares.items() if share > 1 - SHARE]
    return frozenset(sure) if sure else frozenset([*maybe, ''])


def _shape(lesion: Lesion, template: Mapping) -> frozenset[str] | None:
    """Irregular, lobulated, or smooth; of the smooth ones round or oval."""
    measures = template['measures']
    if lesion.is_cut or lesion.diameter < template['shape_from_diameter']:
        return None
    outline = words_of(lesion.solidity, measures['solidity'])
    smooth = measures['solidity']['words'][-1]
    if outline is None or smooth not in outline:
        return outline
    ratio = words_of(lesion.axis_ratio, measures['axis_ratio'])
    return None if ratio is None else outline - {smooth} | ratio


def _density(lesion: Lesion, measure: Mapping) -> frozenset[str] | None:
    """Words of the contrast; a lesion whose mean is that of its surroundings but which is uneven has none.

    A dark core with a bright rim is not isodense.
    """
    words = words_of(lesion.contrast, measure)
    middle = {w for i, w in enumerate(measure['words']) if 0 < i < len(measure['edges'])}
    return None if words and words & middle and lesion.texture > 1.5 else words


def _superlatives(lesions: Sequence[Lesion], template: Mapping) -> list[frozenset[str]]:
    """For each lesion the superlatives that are certain of it."""
    found: list[set[str]] = [set() for _ in lesions]
    if len(lesions) < 2:
        return [frozenset() for _ in lesions]
    height, width = lesions[0].labels.shape
    far = template['superlative_distance'] * max(height, width)
    ratio = template['superlative_ratio']
    sizes = np.array([lesion.diameter for lesion in lesions])
    areas = np.array([lesion.area for lesion in lesions], float)
    cut = np.array([lesion.is_cut for lesion in lesions])
    order = np.argsort(sizes)
    last, first = order[-1], order[0]
    # The largest may be cut off, it only gets larger; all others must be whole.
    if (
        not np.delete(cut, last).any()
        and (sizes[last] >= ratio * np.delete(sizes, last)).all()
        and (areas[last] >= ratio * np.delete(areas, last)).all()
    ):
        found[last].add('largest')
    if (
        not cut[first]
        and (ratio * sizes[first] <= np.delete(sizes, first)).all()
        and (ratio * areas[first] <= np.delete(areas, first)).all()
    ):
        found[first].add('smallest')
    for axis, (low, high) in enumerate((('leftmost', 'rightmost'), ('uppermost', 'lowermost'))):
        at = np.array([lesion.center[axis] for lesion in lesions])
        order = np.argsort(at)
        if at[order[1]] - at[order[0]] >= far:
            found[order[0]].add(low)
        if at[order[-1]] - at[order[-2]] >= far:
            found[order[-1]].add(high)
    return [frozenset(words) for words in found]
