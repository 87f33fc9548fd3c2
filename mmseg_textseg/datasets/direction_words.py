"""Words that name a direction: finding them, and rewriting them after the picture was turned.

Everything here is a function of strings; docs/augmentation.md tells the rules with examples.

A turn is one of the symmetries of the square. With the clock's minutes as angles (0 up, 180 right, 360 down, 540
left) it takes the angle ``t`` to ``sign * t + offset``: mirrors have the sign -1.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from . import direction_lexicon as lexicon

# Names as in mmcv's imflip ('diagonal' mirrors both axes: half a turn) and np.rot90 (counter-clockwise).
_TURNS = {
    'horizontal': (-1, 0),
    'vertical': (-1, 360),
    'diagonal': (1, 360),
    'rot90': (1, 540),
    'rot270': (1, 180),
    'transpose': (-1, 540),
    'antitranspose': (-1, 180),
}
_ALIASES = {'rot180': 'diagonal'}
_ANGLES = dict(upper=0, right=180, lower=360, left=540)
_NAMES = {angle: name for name, angle in _ANGLES.items()}
TURNS = tuple(_TURNS)
QUARTER_TURNS = frozenset(name for name, (_, offset) in _TURNS.items() if offset % 360)
LATERALITIES = ('image', 'patient')


class DirectionWordError(ValueError):
    """A sentence that cannot be rewritten.

    Attributes:
        word: the word at fault, as the sentence has it.
        text: the sentence.
        turn: name of the turn.
    """

    def __init__(self, word: str, text: str, turn: str, why: str) -> None:
        super().__init__(
            f'{word!r} cannot be rewritten for the turn {turn!r}, in {text!r}: {why}. Leave this turn out for such '
            "sentences (SwapDirectionWords(on_refusal='undo') turns their pictures back), or reword the sentence"
        )
        self.word, self.text, self.turn = word, text, turn

    def __reduce__(self) -> tuple:  # raised in worker processes
        return _error, (self.args[0], self.word, self.text, self.turn)


def _error(message: str, word: str, text: str, turn: str) -> DirectionWordError:
    error = DirectionWordError.__new__(DirectionWordError, message)
    error.args, error.word, error.text, error.turn = (message,), word, text, turn
    return error


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
class _Part:
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


_Found = tuple[DirectionWord, tuple[_Part, ...]]


# Turns


def canonical_turn(turn: str) -> str:
    """The one name of a turn: ``'rot180'`` is ``'diagonal'``.

    Raises:
        ValueError: for an unknown turn.
    """
    turn = _ALIASES.get(turn, turn)
    if turn not in _TURNS:
        raise ValueError(f'turn is {turn!r}; expected one of {", ".join([*_TURNS, *_ALIASES])}')
    return turn


def compose_turns(*turns: str | None) -> str | None:
    """The turn that several make, the first first; None is no turn."""
    sign, offset = 1, 0
    for turn in turns:
        if turn is not None:
            then, by = _TURNS[canonical_turn(turn)]
            sign, offset = sign * then, (then * offset + by) % 720
    return next((name for name, value in _TURNS.items() if value == (sign, offset)), None)


def inverse_turn(turn: str) -> str:
    """The turn that undoes ``turn``."""
    return {'rot90': 'rot270', 'rot270': 'rot90'}.get(canonical_turn(turn), canonical_turn(turn))


def _turned(direction: str, turn: str) -> str:
    sign, offset = _TURNS[turn]
    return _NAMES[(sign * _ANGLES[direction] + offset) % 720] if direction in _ANGLES else direction


# Rewriting


def rewrite(text: str, turn: str, laterality: str = 'image', anatomy: Iterable[str] = ()) -> str:
    """The sentence that is true of the turned picture, where ``text`` is true of the picture.

    Args:
        text: a sentence.
        turn: ``'horizontal'``, ``'vertical'``, ``'diagonal'`` (both axes, as in MMSegmentation; also ``'rot180'``),
            ``'rot90'`` (counter-clockwise, as ``np.rot90``), ``'rot270'`` (clockwise), ``'transpose'`` (rows become
            columns), ``'antitranspose'`` (mirrored at the other diagonal).
        laterality: whose sides the words of anatomy name ("right lobe"): ``'image'``, the picture's, so they are
            rewritten; or ``'patient'``, so they stay, since the turned picture shows the same organ.
        anatomy: further words (lower case) that count as anatomy.

    Returns:
        The sentence; the same one where it names no direction.

    Raises:
        DirectionWordError: naming the word that has no counterpart after the turn.
        ValueError: for an unknown turn or laterality.
    """
    turn = canonical_turn(turn)
    if laterality not in LATERALITIES:
        raise ValueError(f"laterality is {laterality!r}; expected 'image' or 'patient'")
    pieces, end = [], 0
    for word, parts in _scan(text, frozenset(anatomy)):
        if word.anatomical and laterality == 'patient':
            continue
        if word.anatomical:
            _refuse(word, parts, text, turn)
        new = _turned_clock(word.word, turn) if word.kind == 'clock' else _turned_parts(text, word, parts, turn)
        pieces += [text[end : word.start], new]
        end = word.end
    return ''.join([*pieces, text[end:]])


def _refuse(word: DirectionWord, parts: tuple[_Part, ...], text: str, turn: str) -> None:
    if word.kind == 'clock' or word.direction == {'center'}:
        return
    if turn in QUARTER_TURNS:
        raise DirectionWordError(
            word.word, text, turn, 'anatomy that was turned by a quarter has no name of its own (laterality "patient" '
            'keeps the names)',
        )  # fmt: skip
    if not parts and word.kind != 'abbreviation' and _turned('left', turn) == 'right':
        raise _no_counterpart(word.word, text, turn)


def _no_counterpart(word: str, text: str, turn: str) -> DirectionWordError:
    return DirectionWordError(
        word, text, turn, 'it is of one side, and the other side has no counterpart (laterality "patient" keeps it)'
    )


def _turned_parts(text: str, word: DirectionWord, parts: tuple[_Part, ...], turn: str) -> str:
    if word.kind == 'abbreviation':
        return _turned_abbreviation(word.word, text, turn)
    turned = [_turned(part.direction, turn) for part in parts]
    if len(parts) == 2 and (parts[0].direction in lexicon.VERTICAL) != (turned[0] in lexicon.VERTICAL):
        turned.reverse()  # 'upper left' keeps its order
    pieces, end = [], word.start
    for part, direction in zip(parts, turned, strict=True):
        old = text[part.start : part.end]
        new = old if direction == part.direction else _with_case(lexicon.FORMS[part.form][direction], old)
        pieces += [text[end : part.start], new]
        end = part.end
    return ''.join([*pieces, text[end : word.end]])


def _with_case(new: str, old: str) -> str:
    if old.isupper():
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new


def _turned_abbreviation(word: str, text: str, turn: str) -> str:
    letters = dict(R='right', L='left') if len(word) < 3 or word[1] in 'ULM' else {}
    if word in lexicon.ABBREVIATIONS:
        names = [letters.get(word[0]), dict(U='upper', L='lower').get(word[1] if letters else word[0])]
        side, height = (name and _turned(name, turn) for name in names)
        new = (side[0].upper() if side else '') + (height[0].upper() if height else '')
        return new + word[len(new) :]
    side = lexicon.SIDE_LETTERS.get(word[0].upper())
    if word.upper() == 'RML':
        if _turned(side, turn) != side:
            raise _no_counterpart(word, text, turn)
        return word
    new = _turned(side, turn)[0]
    return (new.upper() if word[0].isupper() else new) + word[1:]


# Clock positions

_HOUR = r'(?:1[0-2]|0?[1-9]|' + '|'.join(lexicon.HOURS) + ')'
_TIME = rf'{_HOUR}(?::[0-5]\d)?'
_JOIN = r'(?:\s*(?:,|[-\u2013])\s*|\s*,?\s+(?:to|and|or|through)\s+)'
_CLOCK = re.compile(
    rf"(?<![\w:.]){_TIME}(?:(?:[\s-]*o['\u2019`]?\s?clock)?{_JOIN}{_TIME})*[\s-]*o['\u2019`]?\s?clock\b"
    rf'|(?<![\w:.])(?:1[0-2]|0?[1-9]):[0-5]\d(?=\s+position\b)',
    re.IGNORECASE,
)
_RANGE = re.compile(
    rf"^({_TIME})((?:[\s-]*o['\u2019`]?\s?clock)?\s*(?:-|\u2013|\bto\b|\bthrough\b)\s*)({_TIME})(?!.*{_JOIN}{_TIME})",
    re.IGNORECASE,
)


def _minutes(time: str) -> int:
    hour, _, minutes = time.partition(':')
    number = lexicon.HOURS.index(hour.lower()) if hour.isalpha() else int(hour)
    return (number * 60 + int(minutes or 0)) % 720


def _turned_clock(words: str, turn: str) -> str:
    sign, offset = _TURNS[turn]

    def turned(match: re.Match) -> str:
        time = match[0]
        hour, minutes = divmod((sign * _minutes(time) + offset) % 720, 60)
        if time[0].isalpha():
            return _with_case(lexicon.HOURS[hour], time)
        digits = f'{hour or 12:0{2 if time.startswith("0") else 1}d}'
        return f'{digits}:{minutes:02d}' if ':' in time else digits

    words = re.sub(rf'\b{_TIME}\b', turned, words, flags=re.IGNORECASE)
    # A range runs clockwise; its mirror image would run the other way.
    return _RANGE.sub(r'\3\2\1', words) if sign < 0 else words


def _clock_sides(words: str) -> frozenset[str]:
    sides = set()
    for time in re.findall(rf'\b{_TIME}\b', words, re.IGNORECASE):
        for name, angle in _ANGLES.items():
            away = abs((_minutes(time) - angle + 360) % 720 - 360)
            if away < 180 and not (away > 90 and _minutes(time) % 180 == 0):
                sides.add(name)
    return frozenset(sides)


# Finding

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W\d_]+)*")
_ROMAN = r'(?:VIII|VII|VI|IV|III|II|I|V)(?:[ab]\b)?'
_SEGMENT = re.compile(
    rf'\b(?:(?:[Ll]iver|[Hh]epatic|[Cc]ouinaud)\s+)?[Ss]eg(?:ments?|\.)\s*(?:{_ROMAN}|[1-8][ab]?)\b'
    rf'(?:(?:\s*[,/\u2013-]\s*|\s*,?\s+(?:and|or|to)\s+)(?:{_ROMAN}|[1-8][ab]?)\b(?!\s*(?:mm|cm|\.\d)))*'
)
_LEFT_SEGMENTS = frozenset({'I', 'II', 'III', 'IV', '1', '2', '3', '4'})
_ONE_SIDED = tuple(
    (re.compile(rf'(?<![\w-])(?:{pattern})(?![\w-])', re.NOFLAG if pattern.isupper() else re.IGNORECASE), side, kind)
    for pattern, side, kind in lexicon.ONE_SIDED
)
_ABBREVIATION = re.compile(rf'(?<![\w-])(?:{"|".join(sorted(lexicon.ABBREVIATIONS))})(?![\w-])')
_SIDE_LETTER = re.compile(
    r'(?<=[(\[])\s*([LR])\s*(?=[)\]])|(?<![\w-])([LR]t|[LR]T|lt|rt)(?![\w-])\.?|(?<![\w.-])([LR])(?=\s)'
)


def find_direction_words(text: str, anatomy: Iterable[str] = ()) -> list[DirectionWord]:
    """All words of a sentence that name a direction, in their order, none overlapping.

    Args:
        text: a sentence.
        anatomy: further words (lower case) that count as anatomy.
    """
    return [word for word, _ in _scan(text, frozenset(anatomy))]


@lru_cache(maxsize=4096)
def _scan(text: str, anatomy: frozenset[str]) -> tuple[_Found, ...]:
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

    for match in _CLOCK.finditer(text):
        if new(match):
            organ = bool(told & lexicon.CLOCK_ORGANS)
            yield DirectionWord(match[0], *match.span(), _clock_sides(match[0]), 'clock', organ)
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
            yield DirectionWord(match[0], *match.span(), lexicon.ABBREVIATIONS[match[0]], 'abbreviation', True)
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

    def unit(self, i: int) -> tuple[_Found, int] | None:
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
            parts = _Part(token.start, token.end, direction, form), _Part(second.start, second.end, across, other)
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

    def side(self, i: int, direction: str) -> tuple[_Found, int]:
        """'left' or 'right': a relation, a noun or an adjective."""
        if self.next(i) == 'of':
            of_picture = any(self.word(j) in lexicon.PICTURES for j in range(i + 2, i + 4))
            if not of_picture and self.word(i - 1) == 'the' and self.word(i - 2) == 'to' and self.gap(i) == ' ':
                return self.single(i - 2, i + 2, direction, 'long relation', 'relation')
            if not of_picture and self.word(i - 1) != 'the':
                return self.single(i, i + 2, direction, 'relation', 'relation')
        alone = not self.next(i) or self.next(i) in lexicon.FUNCTION_WORDS
        return self.single(i, i + 1, direction, 'noun' if alone else 'adjective')

    def single(self, i: int, after: int, direction: str, form: str, kind: str = 'place') -> tuple[_Found, int]:
        part = _Part(self.tokens[i].start, self.tokens[after - 1].end, direction, form)
        return self.found(i, after, (part,), kind)

    def found(
        self, i: int, after: int, parts: tuple[_Part, ...], kind: str, direction: frozenset[str] = frozenset()
    ) -> tuple[_Found, int]:
        start, end = self.tokens[i].start, self.tokens[after - 1].end
        organ = None if kind == 'relation' else self.organ(i, after)
        body_axis = any(part.form == 'body axis' for part in parts)
        if kind == 'place' and organ in ('lobe', 'lobes', 'lobar'):
            kind = 'lobe'
        direction = direction or frozenset(part.direction for part in parts)
        word = DirectionWord(self.text[start:end], start, end, direction, kind, bool(organ) or body_axis)
        return (word, parts), after

    def organ(self, first: int, after: int) -> str | None:
        """The word of anatomy that the direction words from ``first`` up to ``after`` belong to."""
        if self.word(first - 1) == 'patient':
            return 'patient'
        others = 0  # words between that are neither direction nor anatomy
        for i in range(after, len(self.tokens)):
            word, gap = self.tokens[i].word, self.gap(i).strip()
            directing = word in lexicon.WORDS or word in lexicon.CENTER
            if gap not in ('', '-') and not (gap in (',', '/') and directing):
                return None
            if word in ('and', 'or') and not others and self.word(i + 1) in lexicon.WORDS:
                continue
            if word in self.anatomy:
                return next((w for w in (word, self.next(i)) if w in ('lobe', 'lobes', 'lobar')), word)
            if directing and word not in lexicon.FUNCTION_WORDS:
                continue
            if word in lexicon.FUNCTION_WORDS or others == 2:
                return None
            others += 1
        return None


def _left_otherwise(sentence: _Sentence, i: int, before: str, after: str) -> bool:
    if after in lexicon.LEFT_BEHIND or (before in lexicon.HAS and after != 'of'):
        return True
    return before in lexicon.IS and sentence.previous(i - 1) in lexicon.REMAINDER


def _right_otherwise(sentence: _Sentence, i: int, before: str, after: str) -> bool:
    if before in lexicon.RIGHT_AFTER or after in ('angle', 'angles', 'angled', 'away', 'now'):
        return True
    if before in lexicon.SIDE_BEFORE:
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
    upper=lambda sentence, i, before, after: after in ('limit', 'bound'),
    superior=lambda sentence, i, before, after: after in lexicon.NAMED_BY_AXIS or after == 'to',
    inferior=lambda sentence, i, before, after: after in lexicon.NAMED_BY_AXIS,
    above=_above_otherwise,
    below=_above_otherwise,
)
