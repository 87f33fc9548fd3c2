"""Whether 'left', 'right', 'top' and the like name a direction where they stand, or mean something else."""

from enum import Enum

from . import direction_lexicon as lexicon
from .direction_sentence import Sentence


class Sense(Enum):
    """What a word means where it stands."""

    DIRECTION = 'a direction'
    UNCLEAR = 'a direction or something else'
    OTHER = 'something else'


def sense(sentence: Sentence, i: int) -> Sense:
    """What the word at ``i`` means."""
    word, before, after = sentence.word(i), sentence.previous(i), sentence.next(i)
    if word in lexicon.CENTER:
        return Sense.OTHER if word == 'central' and after not in lexicon.AFTER_HYPHEN else Sense.DIRECTION
    if word not in lexicon.WORDS:
        return Sense.OTHER
    known = after in lexicon.AFTER_HYPHEN or after in lexicon.WORDS or sentence.is_anatomy(after)
    if sentence.tied(i) and not known:
        return Sense.OTHER
    if sentence.gap(i) == '-' and not (before in lexicon.BEFORE_HYPHEN or before in lexicon.WORDS):
        return Sense.OTHER
    return _SENSES[word](sentence, i, before, after) if word in _SENSES else Sense.DIRECTION


def _left(sentence: Sentence, i: int, before: str, after: str) -> Sense:
    if after in lexicon.LEFT_BEHIND:  # 'left behind', but 'the man left behind the fence' may be the left one
        return Sense.UNCLEAR if sentence.next(i + 1) else Sense.OTHER
    if before == 'the':
        return Sense.DIRECTION
    if after in lexicon.LEFT_AS and not sentence.noun_after(i + 1):
        return Sense.OTHER
    if sentence.noun_after(i) or after == 'of':
        remains = after == 'of' and before in lexicon.IS and sentence.previous(i - 1) in lexicon.REMAINDER
        return Sense.OTHER if remains else Sense.DIRECTION
    gone = before in lexicon.HAS or (before in lexicon.IS and sentence.previous(i - 1) in lexicon.REMAINDER)
    if gone or (before and after in lexicon.ARTICLES and before not in lexicon.SIDE_BEFORE):
        return Sense.OTHER  # 'has left', 'nothing is left', 'he left the room'
    return Sense.DIRECTION


def _right(sentence: Sentence, i: int, before: str, after: str) -> Sense:
    if after in lexicon.RIGHT_ALWAYS:
        return Sense.OTHER
    if before in lexicon.RIGHT_AFTER:  # 'all right', but LViT's 'all right lung' is a lung
        if sentence.noun_after(i) or after == 'of':
            return Sense.DIRECTION
        return Sense.OTHER if before == 'all' else Sense.UNCLEAR
    if before in lexicon.SIDE_BEFORE or sentence.word(i - 1) in lexicon.DIRECTING:  # 'top, right in the picture'
        return Sense.DIRECTION
    if after in lexicon.RIGHT_BEFORE:
        return Sense.OTHER
    exactly = after in ('at', 'in', 'on') and sentence.word(i + 2) in lexicon.ARTICLES | {'front'}
    if (exactly and not sentence.of_picture(i + 3, 3)) or after in lexicon.RIGHT_OR_EXACTLY:
        return Sense.UNCLEAR
    return Sense.DIRECTION


def _lower(sentence: Sentence, i: int, before: str, after: str) -> Sense:
    if after in lexicon.QUANTITIES:
        return Sense.OTHER
    compared = before in lexicon.IS and not sentence.noun_after(i) and after not in lexicon.ALONG_HEIGHT
    if compared or after == 'than':
        told = any(token.word in lexicon.QUANTITIES for token in sentence.tokens)
        return Sense.OTHER if told else Sense.UNCLEAR
    return Sense.DIRECTION


def _top(sentence: Sentence, i: int, before: str, after: str) -> Sense:
    if after in ('hat', 'hats') or before in lexicon.GARMENTS:
        return Sense.OTHER
    worn = before in lexicon.GARMENT_COLOURS or before in ('a', 'her', 'his', 'my', 'your', 'their', 'wearing')
    return Sense.UNCLEAR if worn and not sentence.noun_after(i) and after != 'of' else Sense.DIRECTION


def _above(sentence: Sentence, i: int, before: str, after: str) -> Sense:
    otherwise = before in lexicon.SEEN or after in ('mentioned', 'average', 'normal') or after[:1].isdigit()
    return Sense.OTHER if otherwise else Sense.DIRECTION


def _upper(sentence: Sentence, i: int, before: str, after: str) -> Sense:
    return Sense.OTHER if after in ('limit', 'bound') else Sense.DIRECTION


def _superior(sentence: Sentence, i: int, before: str, after: str) -> Sense:
    return Sense.OTHER if after in lexicon.NAMED_BY_AXIS else Sense.DIRECTION


_SENSES = dict(
    left=_left,
    right=_right,
    lower=_lower,
    higher=_lower,
    top=_top,
    bottom=_top,
    upper=_upper,
    superior=_superior,
    inferior=_superior,
    above=_above,
    below=_above,
)
