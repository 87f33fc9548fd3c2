"""Names of directions that need no grammar: clock positions, segments, parts of one side, abbreviations, R and L."""

import re
from collections.abc import Iterator

from . import direction_lexicon as lexicon
from .clock_positions import CLOCK, clock_sides
from .direction_senses import Sense
from .direction_sentence import DirectionWord, Sentence

_ROMAN = r'(?:VIII|VII|VI|IV|III|II|I|V)(?:[ab]\b)?'
_SEGMENT = re.compile(
    rf'\b(?:(?:[Ll]iver|[Hh]epatic|[Cc]ouinaud)\s+)?[Ss]eg(?:ments?|\.)\s*(?:{_ROMAN}|[1-8][ab]?)\b'
    rf'(?:(?:\s*[,/\u2013-]\s*|\s*,?\s+(?:and|or|to)\s+)(?:{_ROMAN}|[1-8][ab]?)\b(?!\s*(?:mm|cm|\.\d)))*'
)
_LEFT_SEGMENTS = frozenset({'I', 'II', 'III', 'IV', '1', '2', '3', '4'})
_END = r'(?=s?(?!\w))'  # 'RULs', 'RUL-opacity'
_ONE_SIDED = tuple(
    (re.compile(rf'(?<!\w)(?:{pattern}){_END}', 0 if pattern.isupper() else re.IGNORECASE), side, kind)
    for pattern, side, kind in lexicon.ONE_SIDED
)
_ABBREVIATION = re.compile(rf'(?<!\w)(?:{"|".join(sorted(lexicon.ABBREVIATIONS))}){_END}')
_BOTH_LETTERS = re.compile(
    r'(?<![\w-])([LR])\s*(?:[<>=\u2264\u2265/&+~]+|\b(?:and|or|vs\.?|versus)\b)\s*([LR])(?![\w-])'
)
_SIDE_LETTER = re.compile(
    r"(?<=[(\[])\s*([LR])\s*(?=[)\]])|(?<![\w-])([LR]t|[LR]T|lt|rt)(?![\w-])\.?|(?<![\w.'\u2019-])([LR])(?![\w'\u2019])"
)


def fixed_words(sentence: Sentence) -> Iterator[DirectionWord]:
    """Clock positions, abbreviations and parts of one side, none overlapping."""
    text, spans = sentence.text, []

    def new(match: re.Match, group: int = 0) -> bool:
        start, end = match.span(group)
        if any(s < end and start < e for s, e in spans):
            return False
        spans.append((start, end))
        return True

    for match in CLOCK.finditer(text):
        if new(match):
            organ = any(token.word in lexicon.CLOCK_ORGANS for token in sentence.tokens)
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
    for match in _BOTH_LETTERS.finditer(text):
        for group in (1, 2):
            if new(match, group):
                yield _letter(match, group)
    for match in _SIDE_LETTER.finditer(text):
        group = match.lastindex
        meaning = _letter_sense(sentence, match)
        if meaning is not Sense.OTHER and new(match, group):
            yield _letter(match, group, meaning)


def _letter(match: re.Match, group: int, meaning: Sense = Sense.DIRECTION) -> DirectionWord:
    letter, span = match[group], match.span(group)
    if meaning is Sense.UNCLEAR:
        return DirectionWord(letter, *span, frozenset(), 'unclear', False)
    return DirectionWord(letter, *span, frozenset({lexicon.SIDE_LETTERS[letter[0].upper()]}), 'abbreviation', True)


def _letter_sense(sentence: Sentence, match: re.Match) -> Sense:
    """Of a letter that may be a side; 'RT' is radiotherapy as well, 'lt' light, 'L' a litre."""
    letter, group = match[match.lastindex], match.lastindex
    if group == 1 or letter in ('Lt', 'Rt') or (letter.islower() and match[0].endswith('.')):
        return Sense.DIRECTION
    i = next((n for n, token in enumerate(sentence.tokens) if token.start >= match.end()), len(sentence.tokens))
    between = sentence.gap(i).strip()
    after = sentence.word(i) if between in ('', '-', '.') else ''
    directing = after in lexicon.DIRECTING
    named = {after, sentence.next(i) if directing else after} & lexicon.PARTS or sentence.is_anatomy(after)
    noun = bool(after) and after not in lexicon.FUNCTION_WORDS
    if named or (noun and (directing or group == 3) and sentence.organ(i, i + 1)):
        return Sense.DIRECTION
    if group == 3:
        litres = re.search(r'\d\s*$', sentence.text[: match.start()])
        return Sense.OTHER if between == '-' or litres else Sense.UNCLEAR
    return Sense.UNCLEAR if noun or letter.islower() else Sense.OTHER
