"""A sentence as words, and what stands next to what; :mod:`.direction_finding` reads directions from it."""

import re
from dataclasses import dataclass

from . import direction_lexicon as lexicon

LOBES = ('lobe', 'lobes', 'lobar')
_WORD = re.compile(r"([^\W_]+(?:['\u2019][^\W\d_]+)*?)(?:['\u2019]s)?(?![^\W_])")


@dataclass(frozen=True)
class DirectionWord:
    """A word, or words that belong together, that names a direction.

    Attributes:
        word: as the sentence has it.
        start, end: ``text[start:end] == word``.
        direction: some of ``'left'``, ``'right'``, ``'upper'``, ``'lower'``, ``'center'``; of a clock position the one
            or two nearest sides. The side as it is said: whether it is the picture's or the patient's is not known.
            Empty where it is unclear.
        kind: ``'place'``; ``'relation'`` (left of something, above something); ``'lobe'``; ``'quadrant'`` (of the
            belly: right upper quadrant); ``'clock'``; ``'abbreviation'`` (RUL); ``'segment'`` (a part that has a side
            without saying it: segment VI); ``'unclear'`` (may name a direction or mean something else: "right on the
            hill").
        anatomical: whether it belongs to a name of the patient's anatomy.
    """

    word: str
    start: int
    end: int
    direction: frozenset[str]
    kind: str
    anatomical: bool


@dataclass(frozen=True)
class Part:
    """A single word to be exchanged: its place, its direction and the form that its exchange takes."""

    start: int
    end: int
    direction: str
    form: str


@dataclass(frozen=True)
class Token:
    """A word in lower case: ``text[start:end]``; ``after`` is behind its possessive 's."""

    word: str
    start: int
    end: int
    after: int


class Sentence:
    """The words of a text, by their number.

    Args:
        text: any text.
        anatomy: words (lower case) that count as anatomy, beside those of the lexicon.
    """

    def __init__(self, text: str, anatomy: frozenset[str]) -> None:
        self.text = text
        self.tokens = [Token(m[1].lower(), *m.span(1), m.end()) for m in _WORD.finditer(text)]
        self._anatomy = lexicon.ANATOMY | anatomy

    def word(self, i: int) -> str:
        """The word at ``i``, or '' beyond the ends."""
        return self.tokens[i].word if 0 <= i < len(self.tokens) else ''

    def gap(self, i: int) -> str:
        """What stands between word ``i`` and the one before it."""
        start = self.tokens[i - 1].after if i else 0
        end = self.tokens[i].start if i < len(self.tokens) else len(self.text)
        return self.text[start:end]

    def tied(self, i: int) -> bool:
        """Whether a hyphen ties word ``i`` to the next."""
        return i + 1 < len(self.tokens) and self.gap(i + 1) == '-'

    def next(self, i: int) -> str:
        """The word after ``i`` if nothing but a blank or a hyphen stands between, else ''."""
        near = i + 1 < len(self.tokens) and self.gap(i + 1).strip() in ('', '-')
        return self.word(i + 1) if near else ''

    def previous(self, i: int) -> str:
        """The word before ``i`` if nothing but a blank or a hyphen stands between, else ''."""
        return self.word(i - 1) if self.gap(i).strip() in ('', '-') else ''

    def noun_after(self, i: int) -> bool:
        """Whether a noun, or an adjective of one, follows word ``i``: any word that ends no noun phrase."""
        return bool(self.next(i)) and self.next(i) not in lexicon.FUNCTION_WORDS

    def is_anatomy(self, word: str) -> bool:
        """Whether a word names the patient's anatomy, or surgery of it."""
        return word in self._anatomy or word.endswith(lexicon.SURGERY)

    def of_picture(self, first: int, count: int) -> bool:
        """Whether one of ``count`` words from ``first`` on is the picture."""
        return any(self.word(i) in lexicon.PICTURES for i in range(first, first + count))

    def organ(self, first: int, after: int) -> str | None:
        """The word of anatomy that the direction words from ``first`` up to ``after`` belong to."""
        if self.word(first - 1) == 'patient':
            return 'patient'
        others = 0  # words between that are neither direction nor anatomy
        crossed = False  # 'the upper part of the lung'
        for i in range(after, len(self.tokens)):
            word, gap = self.tokens[i].word, self.gap(i).strip()
            directing = word in lexicon.DIRECTING
            if gap not in ('', '-') and not (gap in (',', '/') and directing):
                return None
            if word in ('and', 'or') and not others and self.word(i + 1) in lexicon.WORDS:
                continue
            if self.is_anatomy(word):
                if crossed and self.of_picture(i + 1, 2):
                    return None
                return next((w for w in (word, self.next(i)) if w in LOBES), word)
            if word in ('outer', 'inner') and self.next(i) in lexicon.QUADRANTS:
                return 'quadrant'
            if word == 'of' and not crossed and (self.word(i - 1) in lexicon.PARTS or i == after):
                crossed, others = True, 0
                continue
            if (crossed and word in lexicon.ARTICLES) or (directing and word not in lexicon.FUNCTION_WORDS):
                continue
            if word in lexicon.FUNCTION_WORDS or others == 2:
                return None
            others += 1
        return None
