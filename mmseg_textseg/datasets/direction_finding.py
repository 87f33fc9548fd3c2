"""Finding the words of a sentence that name a direction; :mod:`.direction_words` rewrites them."""

from functools import lru_cache

from . import direction_lexicon as lexicon
from .direction_fixed import fixed_words
from .direction_senses import Sense, sense
from .direction_sentence import LOBES, DirectionWord, Part, Sentence

Found = tuple[DirectionWord, tuple[Part, ...]]


@lru_cache(maxsize=4096)
def scan(text: str, anatomy: frozenset[str]) -> tuple[Found, ...]:
    """All direction words of a text in their order, each with its parts; fixed and unclear ones have no parts."""
    sentence = Sentence(text, anatomy)
    found: list[Found] = [(word, ()) for word in fixed_words(sentence)]
    taken = [(word.start, word.end) for word, _ in found]
    i = 0
    while i < len(sentence.tokens):
        token = sentence.tokens[i]
        free = not any(start < token.end and token.start < end for start, end in taken)
        unit = _unit(sentence, i) if free else None
        if unit is not None:
            found.append(unit[0])
        i = unit[1] if unit else i + 1
    return tuple(sorted(found, key=lambda item: item[0].start))


def _unit(sentence: Sentence, i: int) -> tuple[Found, int] | None:
    """The direction word that begins at word ``i``, and the number of the word after it; None if there is none."""
    meaning, token = sense(sentence, i), sentence.tokens[i]
    if meaning is Sense.OTHER:
        return None
    if meaning is Sense.UNCLEAR:
        word = DirectionWord(
            sentence.text[token.start : token.end], token.start, token.end, frozenset(), 'unclear', False
        )
        return (word, ()), i + 1
    if token.word in lexicon.CENTER:
        return _found(sentence, i, i + 1, (), 'place', frozenset({'center'}))
    form, direction = lexicon.WORDS[token.word]
    follower, tied = sentence.next(i), sentence.tied(i)
    if follower == 'most' and tied:
        return _single(sentence, i, i + 2, direction, 'hyphen-most' if form == 'adjective' else 'top-most')
    sided = tied or sentence.next(i + 1) in lexicon.AFTER_HYPHEN
    if follower == 'hand' and token.word in ('left', 'right') and sided:
        return _single(sentence, i, i + 2, direction, 'hand' if tied else 'hand side')
    if f'{token.word} {follower}' in lexicon.FORMS['height'].values():
        return _single(sentence, i, i + 2, direction, 'height')
    if _is_pair(sentence, i):
        other, across = lexicon.WORDS[follower]
        second = sentence.tokens[i + 1]
        parts = Part(token.start, token.end, direction, form), Part(second.start, second.end, across, other)
        return _found(sentence, i, i + 2, parts, 'place')
    if token.word in ('left', 'right'):
        return _side(sentence, i, direction)
    if token.word == 'top' and sentence.previous(i) == 'on' and follower == 'of':
        return _single(sentence, i - 1, i + 2, direction, 'touching', 'relation')
    if token.word == 'lower' and not sentence.noun_after(i) and sentence.previous(i) in lexicon.LIES:
        form = 'comparative'
    kind = 'relation' if form in ('relation', 'touching', 'atop') else 'place'
    return _single(sentence, i, i + 1, direction, form, kind)


def _is_pair(sentence: Sentence, i: int) -> bool:
    """Whether ``i`` and the next word are one of 'upper left', 'left-lower', 'top right', ..."""
    known = [lexicon.WORDS.get(word, ('', '')) for word in (sentence.word(i), sentence.next(i))]
    vertical = [direction in lexicon.VERTICAL for _, direction in known]
    paired = all(form in ('adjective', 'noun') for form, _ in known) and vertical[0] != vertical[1]
    return paired and sense(sentence, i + 1) is Sense.DIRECTION


def _side(sentence: Sentence, i: int, direction: str) -> tuple[Found, int]:
    """'left' or 'right': a relation, a noun or an adjective."""
    possessive = sentence.tokens[i].after > sentence.tokens[i].end
    if sentence.next(i) == 'of' and not possessive and not sentence.of_picture(i + 2, 3):
        if sentence.word(i - 1) == 'the' and sentence.word(i - 2) == 'to' and sentence.gap(i) == ' ':
            return _single(sentence, i - 2, i + 2, direction, 'long relation', 'relation')
        if sentence.word(i - 1) != 'the':
            return _single(sentence, i, i + 2, direction, 'relation', 'relation')
    alone = possessive or not sentence.noun_after(i)
    return _single(sentence, i, i + 1, direction, 'noun' if alone else 'adjective')


def _single(
    sentence: Sentence, i: int, after: int, direction: str, form: str, kind: str = 'place'
) -> tuple[Found, int]:
    part = Part(sentence.tokens[i].start, sentence.tokens[after - 1].end, direction, form)
    return _found(sentence, i, after, (part,), kind)


def _found(
    sentence: Sentence,
    i: int,
    after: int,
    parts: tuple[Part, ...],
    kind: str,
    direction: frozenset[str] = frozenset(),
) -> tuple[Found, int]:
    start, end = sentence.tokens[i].start, sentence.tokens[after - 1].end
    organ = None if kind == 'relation' else sentence.organ(i, after)
    anatomical = bool(organ) or any(part.form == 'body axis' for part in parts)
    if kind == 'place' and organ in LOBES:
        kind = 'lobe'
    # 'Right upper quadrant' is the belly's, 'upper right quadrant' the picture's.
    of_belly = len(parts) == 2 and parts[1].direction in lexicon.VERTICAL and not organ
    if of_belly and sentence.next(after - 1) in lexicon.QUADRANTS and not sentence.of_picture(after + 1, 4):
        kind, anatomical = 'quadrant', True
    direction = direction or frozenset(part.direction for part in parts)
    return (DirectionWord(sentence.text[start:end], start, end, direction, kind, anatomical), parts), after
