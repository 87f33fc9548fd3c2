"""Sentences that say the opposite: left for right, upper for lower, largest for smallest."""

import re
from collections.abc import Mapping

from .annotations import AnnotationRow
from .direction_words import DirectionWordError, find_direction_words, rewrite
from .text_lexicon import load_lexicon
from .wording import exchange, whole_words

# The first that a sentence allows: a middle lobe has no left counterpart, and stays in the middle of its height.
_TURNS = (('diagonal', 'image'), ('horizontal', 'image'), ('vertical', 'image'), ('diagonal', 'patient'))


class Contradict:
    """Exchanges sides, heights and words with an opposite, while the picture stays as it is.

    Sides and heights turn as for a picture turned by half (:func:`mmseg_textseg.datasets.direction_words.rewrite`), so
    that "left lobe", "upper left", "RUL" and "3 o'clock" are known; other words have their opposite in the lexicon.
    Without any such word the sentence stays as it is.

    Args:
        lexicon: as in :mod:`.text_lexicon`; its section ``opposites`` counts.
    """

    def __init__(self, lexicon: str | Mapping | None = None) -> None:
        self.opposites = load_lexicon(lexicon).opposites
        self._pattern = whole_words(self.opposites)

    def __call__(self, text: str, row: AnnotationRow | None = None) -> str:
        """The contradiction of a sentence."""
        return exchange(opposite_sides(text), self._pattern, self.opposites.__getitem__)


def opposite_sides(text: str) -> str:
    """The sentence with left and right, upper and lower exchanged; as it is where that means the same.

    "All left lung and all right lung" names both sides before and after.
    """
    for turn, laterality in _TURNS:
        try:
            turned = rewrite(text, turn, laterality)
        except DirectionWordError:
            continue
        if turned != text:
            relates = any(word.kind == 'relation' for word in find_direction_words(text))
            return turned if relates or _bag(turned) != _bag(text) else text
    return text


def _bag(text: str) -> list[str]:
    return sorted(re.findall(r'\w+', text.lower()))
