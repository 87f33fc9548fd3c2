"""Rewriting the words of a sentence that name a direction, after the picture was turned.

Everything here is a function of strings; docs/augmentation.md tells the rules with examples.
"""

import re
from collections.abc import Iterable

from . import direction_lexicon as lexicon
from .clock_positions import turn_clock
from .direction_finding import scan
from .direction_sentence import DirectionWord, Part
from .turns import ANGLES, QUARTER_TURNS, canonical_turn, turn_direction

LATERALITIES = ('image', 'patient')
_NO_COUNTERPART = 'it is one certain place of the body that has no counterpart (laterality "patient" keeps it)'
_UNCLEAR = 'it may name a direction or mean something else'
_READS_OTHERWISE = 'the word in its place would not be read as a direction there'
_NO_QUARTER = 'anatomy that was turned by a quarter has no name of its own (laterality "patient" keeps the names)'


class DirectionWordError(ValueError):
    """A sentence that cannot be rewritten.

    Attributes:
        word: the word at fault, as the sentence has it.
        text: the sentence.
        turn: name of the turn.
        why: the reason.
        where: the picture or row, if known.
    """

    def __init__(self, word: str, text: str, turn: str, why: str, where: str = '') -> None:
        super().__init__(word, text, turn, why, where)
        self.word, self.text, self.turn, self.why, self.where = word, text, turn, why, where

    def __str__(self) -> str:
        return (
            f'{self.where}{": " if self.where else ""}{self.word!r} cannot be rewritten for the turn {self.turn!r}, in '
            f'{self.text!r}: {self.why}. Leave this turn out for such sentences (SwapDirectionWords(on_refusal="undo") '
            'turns their pictures back), or reword the sentence'
        )


def find_direction_words(text: str, anatomy: Iterable[str] = ()) -> list[DirectionWord]:
    """All words of a sentence that name a direction, in their order, none overlapping.

    Args:
        text: a sentence.
        anatomy: further words (lower case) that count as anatomy.
    """
    return [word for word, _ in scan(text, frozenset(anatomy))]


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
        DirectionWordError: naming the word that has no counterpart after the turn, or may be no direction at all
            ("right on the hill").
        ValueError: for an unknown turn or laterality.
    """
    turn = canonical_turn(turn)
    if laterality not in LATERALITIES:
        raise ValueError(f"laterality is {laterality!r}; expected 'image' or 'patient'")
    pieces, end = [], 0
    for word, parts in scan(text, frozenset(anatomy)):
        if word.anatomical and laterality == 'patient':
            continue
        why = _refusal(word, parts, turn)
        if why:
            raise DirectionWordError(word.word, text, turn, why)
        new = _turned(word, parts, text, turn)
        pieces += [_with_article(text[end : word.start], word, new), new]
        end = word.end
    rewritten = ''.join([*pieces, text[end:]])
    _check_reading(text, rewritten, turn, laterality, frozenset(anatomy))
    return rewritten


def _check_reading(text: str, rewritten: str, turn: str, laterality: str, anatomy: frozenset[str]) -> None:
    """Refuse what could not be turned back, as "has right alone": the words must name the turned directions."""
    if rewritten == text:
        return
    now = [word.direction for word, _ in scan(rewritten, anatomy)]
    for i, (word, _) in enumerate(scan(text, anatomy)):
        stays = word.anatomical and laterality == 'patient'
        expected = word.direction if stays else {turn_direction(direction, turn) for direction in word.direction}
        if i >= len(now) or now[i] != expected:
            raise DirectionWordError(word.word, text, turn, _READS_OTHERWISE)


def _refusal(word: DirectionWord, parts: tuple[Part, ...], turn: str) -> str | None:
    """Why a word cannot be rewritten, or None."""
    if word.kind == 'unclear':
        said = word.word.lower()
        direction = lexicon.WORDS[said][1] if said in lexicon.WORDS else lexicon.SIDE_LETTERS[said[0].upper()]
        return None if turn_direction(direction, turn) == direction else _UNCLEAR
    if not word.anatomical or word.kind in ('clock', 'quadrant') or word.direction == {'center'}:
        return None
    if turn in QUARTER_TURNS:
        return _NO_QUARTER
    if word.kind == 'segment' or (word.kind == 'lobe' and not parts and turn != 'vertical'):
        return _NO_COUNTERPART  # a middle lobe stays in the middle of its height
    return None


def _turned(word: DirectionWord, parts: tuple[Part, ...], text: str, turn: str) -> str:
    if word.kind == 'unclear':
        return word.word
    if word.kind == 'clock':
        return turn_clock(word.word, turn)
    if word.kind == 'abbreviation':
        return _turned_abbreviation(word.word, turn)
    directions = [turn_direction(part.direction, turn) for part in parts]
    if len(parts) == 2 and (parts[0].direction in lexicon.VERTICAL) != (directions[0] in lexicon.VERTICAL):
        directions.reverse()  # 'upper left' keeps its order
    pieces, end = [], word.start
    for part, direction in zip(parts, directions, strict=True):
        old = text[part.start : part.end]
        new = old if direction == part.direction else _with_case(lexicon.FORMS[part.form][direction], old)
        pieces += [text[end : part.start], new]
        end = part.end
    return ''.join([*pieces, text[end : word.end]])


def _with_case(new: str, old: str) -> str:
    if old.isupper():
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new


def _turned_abbreviation(word: str, turn: str) -> str:
    directions = lexicon.ABBREVIATIONS.get(word) or (lexicon.SIDE_LETTERS[word[0].upper()],)
    letters = [
        _with_case(turn_direction(direction, turn)[0], old) if direction in ANGLES else old
        for direction, old in zip(directions, word, strict=False)
    ]
    return ''.join(letters) + word[len(letters) :]


_ARTICLE = re.compile(r'\b(an?)(\s)$', re.IGNORECASE)
_VOWEL = re.compile(r'(?!one)[aeiou]|8|11(?!\d)', re.IGNORECASE)
_VOWEL_LETTER = re.compile(r'[AEFHILMNORSX]')  # 'an RUL', but 'a UOQ'


def _with_article(before: str, old: DirectionWord, new: str) -> str:
    """The text before a word, with "a" or "an" as the new word wants it: 'an upper', 'a left'."""
    vowel = _VOWEL_LETTER if old.word[:2].isupper() and old.kind == 'abbreviation' else _VOWEL
    article = _ARTICLE.search(before)
    if not article or bool(vowel.match(old.word)) == bool(vowel.match(new)):
        return before
    return before[: article.start()] + article[1][0] + ('n' if vowel.match(new) else '') + article[2]
