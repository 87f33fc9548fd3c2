"""Finding the words of a sentence that name a direction; :mod:`.direction_words` rewrites them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from . import direction_lexicon as lexicon
from .clock_positions import CLOCK, clock_sides


@dataclass(frozen=True)
class DirectionWord:
    """A word, or words that belong together, that names a direction.

    Attributes:
        word: as the sentence has it.
        start, end: ``text[start:end] == word``.
        direction: some of ``'left'``, ``'right'``, ``'upper'``, ``'lower'``, ``'center'``; of a clock position the one
            or two nearest sides. The side as it is said: whether it is the picture's or the patient's is not known.
        kind: ``'place'``; ``'relation'`` (left of something, above something); ``'lobe'``; ``'clock'``;
            ``'abbreviation'`` (RUL); ``'segment'`` (a part that has a side without saying it: segment VI).
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
class _Token:
    word: str  # lower case, no possessive
    start: int
    end: int


Found = tuple[DirectionWord, tuple[Part, ...]]


_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W\d_]+)*")
_ROMAN = r'(?:VIII|VII|VI|IV|III|II|I|V)(?:[ab]\b)?'
_SEGMENT = re.compile(
    rf'\b(?:(?:[Ll]iver|[Hh]epatic|[Cc]ouinaud)\s+)?[Ss]eg(?:ments?|\.)\s*(?:{_ROMAN}|[1-8][ab]?)\b'
    rf'(?:(?:\s*[,/\u2013-]\s*|\s*,?\s+(?:and|or|to)\s+)(?:{_ROMAN}|[1-8][ab]?)\b(?!\s*(?:mm|cm|\.\d)))*'
)
_LOBES = ('lobe', 'lobes', 'lobar')
_LEFT_SEGMENTS = frozenset({'I', 'II', 'III', 'IV', '1', '2', '3', '4'})
_ONE_SIDED = tuple(
    (re.compile(rf'(?<![\w-])(?:{pattern})(?![\w-])', re.NOFLAG if pattern.isupper() else re.IGNORECASE), side, kind)
    for pattern, side, kind in lexicon.ONE_SIDED
)
_ABBREVIATION = re.compile(rf'(?<![\w-])(?:{"|".join(sorted(lexicon.ABBREVIATIONS))})(?![\w-])')
_SIDE_LETTER = re.compile(
    r'(?<=[(\[])\s*([LR])\s*(?=[)\]])|(?<![\w-])([LR]t|[LR]T|lt|rt)(?![\w-])\.?|(?<![\w.-])([LR])(?=\s)'
)


@lru_cache(maxsize=4096)
def scan(text: str, anatomy: frozenset[str]) -> tuple[Found, ...]:
    tokens = [_Token(re.sub(r"['\u2019]s?$", '', m[0].lower()), m.start(), m.end()) for m in _WORD.finditer(text)]
    found = [(word, ()) for word in _fixed_words(text, tokens, anatomy)]
    taken = [(word.start, word.end) for word, _ in found]
    sentence = _Sentence(text, tokens, lexicon.ANATOMY | anatomy)
    i = 0
    while i < len(tokens):
        free = not any(start < tokens[i].end and tokens[i].start < end for start, end in taken)
        unit = sentence.unit(i) if free else None
        if unit is None:
            i += 1
            continue
        found.append(unit[0])
        i = unit[1]
    return tuple(sorted(found, key=lambda item: item[0].start))


def _fixed_words(text: str, tokens: list[_Token], anatomy: frozenset[str]) -> Iterator[DirectionWord]:
    """Clock positions, abbreviations and parts of one side."""
    organs = lexicon.ANATOMY | anatomy
    told = {token.word for token in tokens}
    spans: list[tuple[int, int]] = []

    def new(match: re.Match, group: int = 0) -> bool:
        start, end = match.span(group)
        if any(s < end and start < e for s, e in spans):
            return False
        spans.append((start, end))
        return True

    for match in CLOCK.finditer(text):
        if new(match):
            organ = bool(told & lexicon.CLOCK_ORGANS)
            yield DirectionWord(match[0], *match.span(), clock_sides(match[0]), 'clock', organ)
    for match in _SEGMENT.finditer(text):
        numbers = re.findall(r'[IV]+|[1-8]', match[0][match[0].lower().rindex('seg') :])
        sides = frozenset('left' if number in _LEFT_SEGMENTS else 'right' for number in numbers)
        if new(match):
            yield DirectionWord(match[0], *match.span(), sides, 'segment', True)
    for pattern, side, kind in _ONE_SIDED:
        for match in pattern.finditer(text):
            if new(match):
                yield DirectionWord(match[0], *match.span(), frozenset({side}), kind, True)
    for match in _ABBREVIATION.finditer(text):
        if new(match):
            directions = frozenset(lexicon.ABBREVIATIONS[match[0]])
            yield DirectionWord(match[0], *match.span(), directions, 'abbreviation', True)
    for match in _SIDE_LETTER.finditer(text):
        group = next(g for g in (1, 2, 3) if match[g])
        after = next((token.word for token in tokens if token.start >= match.end()), '')
        # 'RT' is radiotherapy as well, and single letters are many things.
        unmistakable = group == 1 or match[group] in ('Lt', 'Rt') or match[0].endswith('.')
        if (after in organs or unmistakable) and new(match, group):
            side = lexicon.SIDE_LETTERS[match[group][0].upper()]
            yield DirectionWord(match[group], *match.span(group), frozenset({side}), 'abbreviation', True)


class _Sentence:
    """Finds the direction words of running text."""

    def __init__(self, text: str, tokens: list[_Token], anatomy: frozenset[str]) -> None:
        self.text, self.tokens, self.anatomy = text, tokens, anatomy

    def word(self, i: int) -> str:
        """The word at ``i``, or '' beyond the ends."""
        return self.tokens[i].word if 0 <= i < len(self.tokens) else ''

    def gap(self, i: int) -> str:
        """What stands between word ``i`` and the one before it."""
        start = self.tokens[i - 1].end if i else 0
        end = self.tokens[i].start if i < len(self.tokens) else len(self.text)
        return self.text[start:end]

    def next(self, i: int) -> str:
        """The word after ``i`` if nothing but a blank or a hyphen stands between, else ''."""
        return self.word(i + 1) if self.gap(i + 1).strip() in ('', '-') else ''

    def previous(self, i: int) -> str:
        """The word before ``i`` if nothing but a blank or a hyphen stands between, else ''."""
        return self.word(i - 1) if self.gap(i).strip() in ('', '-') else ''

    def names_direction(self, i: int) -> bool:
        """Whether the word at ``i`` names a direction here."""
        word, before, after = self.word(i), self.previous(i), self.next(i)
        if word in lexicon.CENTER:
            return not (word == 'central' and after not in lexicon.AFTER_HYPHEN)
        if word not in lexicon.WORDS:
            return False
        if i + 1 < len(self.tokens) and self.gap(i + 1) == '-' and not self.belongs_after_hyphen(i, after):
            return False
        if self.gap(i) == '-' and not (before in lexicon.BEFORE_HYPHEN or before in lexicon.WORDS):
            return False
        return not _MEANS_OTHERWISE.get(word, lambda *_: False)(self, i, before, after)

    def belongs_after_hyphen(self, i: int, after: str) -> bool:
        """Whether the word tied to the direction word ``i`` leaves it one."""
        return after in lexicon.AFTER_HYPHEN or after in lexicon.WORDS or after in self.anatomy

    def unit(self, i: int) -> tuple[Found, int] | None:
        """The direction word that begins at word ``i``, and the number of the word after it; None if there is none."""
        if not self.names_direction(i):
            return None
        token = self.tokens[i]
        if token.word in lexicon.CENTER:
            return self.found(i, i + 1, (), 'place', frozenset({'center'}))
        form, direction = lexicon.WORDS[token.word]
        follower, tied = self.next(i), i + 1 < len(self.tokens) and self.gap(i + 1) == '-'
        if follower == 'most' and tied:
            form = 'hyphen-most' if form == 'adjective' else 'top-most'
            return self.single(i, i + 2, direction, form)
        if follower == 'hand' and direction in ('left', 'right') and (tied or self.next(i + 1) in lexicon.AFTER_HYPHEN):
            return self.single(i, i + 2, direction, 'hand' if tied else 'hand side')
        if self.is_pair(i):
            other, across = lexicon.WORDS[follower]
            second = self.tokens[i + 1]
            parts = Part(token.start, token.end, direction, form), Part(second.start, second.end, across, other)
            return self.found(i, i + 2, parts, 'place')
        if token.word in ('left', 'right'):
            return self.side(i, direction)
        if token.word == 'top' and self.previous(i) == 'on' and follower == 'of':
            return self.single(i - 1, i + 2, direction, 'touching', 'relation')
        kind = 'relation' if form in ('relation', 'touching', 'atop') else 'place'
        return self.single(i, i + 1, direction, form, kind)

    def is_pair(self, i: int) -> bool:
        """Whether ``i`` and the next word are one of 'upper left', 'left-lower', 'top right', ..."""
        pairs = ('adjective', 'noun')
        known = [lexicon.WORDS.get(word, ('', '')) for word in (self.word(i), self.next(i))]
        vertical = [direction in lexicon.VERTICAL for _, direction in known]
        return all(form in pairs for form, _ in known) and vertical[0] != vertical[1] and self.names_direction(i + 1)

    def side(self, i: int, direction: str) -> tuple[Found, int]:
        """'left' or 'right': a relation, a noun or an adjective."""
        if self.next(i) == 'of':
            of_picture = any(self.word(j) in lexicon.PICTURES for j in range(i + 2, i + 5))
            if not of_picture and self.word(i - 1) == 'the' and self.word(i - 2) == 'to' and self.gap(i) == ' ':
                return self.single(i - 2, i + 2, direction, 'long relation', 'relation')
            if not of_picture and self.word(i - 1) != 'the':
                return self.single(i, i + 2, direction, 'relation', 'relation')
        alone = not self.next(i) or self.next(i) in lexicon.FUNCTION_WORDS
        return self.single(i, i + 1, direction, 'noun' if alone else 'adjective')

    def single(self, i: int, after: int, direction: str, form: str, kind: str = 'place') -> tuple[Found, int]:
        part = Part(self.tokens[i].start, self.tokens[after - 1].end, direction, form)
        return self.found(i, after, (part,), kind)

    def found(
        self, i: int, after: int, parts: tuple[Part, ...], kind: str, direction: frozenset[str] = frozenset()
    ) -> tuple[Found, int]:
        start, end = self.tokens[i].start, self.tokens[after - 1].end
        organ = None if kind == 'relation' else self.organ(i, after)
        body_axis = any(part.form == 'body axis' for part in parts)
        if kind == 'place' and organ in _LOBES:
            kind = 'lobe'
        direction = direction or frozenset(part.direction for part in parts)
        word = DirectionWord(self.text[start:end], start, end, direction, kind, bool(organ) or body_axis)
        return (word, parts), after

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
            if word in self.anatomy:
                if crossed and {self.word(i + 1), self.word(i + 2)} & lexicon.PICTURES:
                    return None
                return next((w for w in (word, self.next(i)) if w in _LOBES), word)
            if word in ('outer', 'inner') and self.next(i) in ('quadrant', 'quadrants'):
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


def _left_otherwise(sentence: _Sentence, i: int, before: str, after: str) -> bool:
    if after in lexicon.LEFT_BEHIND or (before in lexicon.HAS and after != 'of'):
        return True
    if before and after in lexicon.ARTICLES and before not in lexicon.SIDE_BEFORE:
        return True  # 'he left the room'
    return before in lexicon.IS and sentence.previous(i - 1) in lexicon.REMAINDER


def _right_otherwise(sentence: _Sentence, i: int, before: str, after: str) -> bool:
    if after in lexicon.RIGHT_ALWAYS:
        return True
    if before in lexicon.RIGHT_AFTER:  # but LViT's 'all right lung' is a lung
        return after not in sentence.anatomy and after not in lexicon.WORDS
    if before in lexicon.SIDE_BEFORE or sentence.word(i - 1) in lexicon.DIRECTING:  # 'top, right in the picture'
        return False
    return after in lexicon.RIGHT_BEFORE or (after in ('at', 'in', 'on') and sentence.word(i + 2) == 'the')


def _lower_otherwise(sentence: _Sentence, i: int, before: str, after: str) -> bool:
    if after in lexicon.QUANTITIES:
        return True
    return before in lexicon.IS and (not after or after in lexicon.FUNCTION_WORDS)


def _above_otherwise(sentence: _Sentence, i: int, before: str, after: str) -> bool:
    return before in lexicon.SEEN or after in ('mentioned', 'average', 'normal') or after[:1].isdigit()


_MEANS_OTHERWISE = dict(
    left=_left_otherwise,
    right=_right_otherwise,
    lower=_lower_otherwise,
    higher=_lower_otherwise,
    upper=lambda sentence, i, before, after: after in ('limit', 'bound'),
    superior=lambda sentence, i, before, after: after in lexicon.NAMED_BY_AXIS,
    inferior=lambda sentence, i, before, after: after in lexicon.NAMED_BY_AXIS,
    above=_above_otherwise,
    below=_above_otherwise,
)
