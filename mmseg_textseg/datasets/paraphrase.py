"""Other wordings that mean the same, by rules."""

import hashlib
import os.path as osp
import re
from collections.abc import Mapping, Sequence

import numpy as np

from . import direction_lexicon as directions
from .annotations import AnnotationRow
from .direction_words import find_direction_words
from .text_lexicon import load_lexicon
from .wording import capital, exchange, whole_words

_ITEM = r'(?:[^,;.]|\.(?=\d))+?'  # '7.5 mm' is one
_LIST = re.compile(rf'\bwith ((?:{_ITEM}, )*?)({_ITEM})(,? and )({_ITEM})(?=[,;]|\.(?!\d)|$)')
_FIELDS = re.compile(r'\s*[,;]\s+')
_PLACE = re.compile(
    r'^(?P<head>[^,;]+?) (?P<place>(?:in|at|on) (?:(?! with ).)+?)(?P<rest> (?:is|are) .+?)?(?P<stop>\.?)$',
    re.IGNORECASE,
)
_LOCATED = re.compile(r'(?<=[\w,]) (?:in|at|on) (?:the )?$', re.IGNORECASE)
_NOT_BEFORE_LOCATED = directions.FUNCTION_WORDS | {'located', 'lying', 'density', 'visible', 'distributed'}


class Paraphrase:
    """Rewords a sentence by rules, the same for the same sample and seed.

    The order first, by the first rule that fits:

    1. details after "with" change places: "with a round shape and a clear boundary" -> "with a clear boundary and ...";
    2. fields between commas do: "two infected areas, upper left lung" -> "Upper left lung, two infected areas";
    3. the place comes first: "The dark lesion in the left lobe." -> "In the left lobe the dark lesion."

    Then, with ``words``, words with synonyms in the lexicon are exchanged ("large" -> "big"), and "in the left lobe"
    becomes "located in the left lobe". Those may be unknown to a small vocabulary.

    Args:
        words: exchange words, and not the order alone.
        lexicon: as in :mod:`.text_lexicon`; its section ``synonyms`` counts.
        seed: decides, with the sample, about orders and synonyms where there are several.
    """

    def __init__(self, words: bool = True, lexicon: str | Mapping | None = None, seed: int = 0) -> None:
        self.words, self.seed = words, seed
        self.synonyms = load_lexicon(lexicon).synonyms
        self._pattern = whole_words(self.synonyms)

    def __call__(self, text: str, row: AnnotationRow) -> str:
        """Another wording of a row's sentence; the same one where no rule fits."""
        digest = hashlib.sha256(f'{self.seed} {osp.basename(row.image)} {text}'.encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], 'big'))
        # Commas of MedVLSM's levels list places: 'at the top, top, center'.
        for reorder in (_details, _place_first) if row.in_levels else (_details, _fields, _place_first):
            moved = reorder(text, rng)
            if moved != text:
                break
        if not self.words:
            return moved
        located = _located(moved)
        return exchange(located, self._pattern, lambda word: str(rng.choice(self.synonyms[word])))


def _shuffled(parts: Sequence[str], rng: np.random.Generator) -> list[str]:
    """The parts in another order than they have; equal ones do not count as another order."""
    if len(set(parts)) < 2:
        return list(parts)
    while True:
        order = [parts[i] for i in rng.permutation(len(parts))]
        if order != list(parts):
            return order


def _details(text: str, rng: np.random.Generator) -> str:
    match = _LIST.search(text)
    if not match:
        return text
    parts = [part for part in match[1].split(', ') if part] + [match[2], match[4]]
    *others, last, end = _shuffled(parts, rng)
    told = ', '.join([*others, last]) + match[3] + end
    return f'{text[: match.start()]}with {told}{text[match.end() :]}'


def _fields(text: str, rng: np.random.Generator) -> str:
    body = text.rstrip().removesuffix('.')
    parts = _FIELDS.split(body)
    # A clause that hangs on the words before it cannot be moved.
    if len(parts) < 2 or any(part.split(' ')[0].lower() in directions.FUNCTION_WORDS for part in parts):
        return text
    first = parts[0]
    if first[:1].isupper() and not first[1:2].isupper():
        parts[0] = first[0].lower() + first[1:]
    return capital(', '.join(_shuffled(parts, rng))) + text.rstrip()[len(body) :]


def _place_first(text: str, rng: np.random.Generator) -> str:
    match = _PLACE.match(text)
    if not match or not find_direction_words(match['place']):
        return text
    head = match['head']
    if head.split()[-1].lower() in directions.FUNCTION_WORDS:  # 'It is in the left lobe.'
        return text
    if not head[1:2].isupper():
        head = head[0].lower() + head[1:]
    return f'{capital(match["place"])} {head}{match["rest"] or ""}{match["stop"]}'


def _located(text: str) -> str:
    for word in find_direction_words(text):
        match = _LOCATED.search(text[: word.start])
        if word.kind == 'relation' or not match:
            continue
        before = text[: match.start()]
        if re.search(r'\w*\W*$', before)[0].strip(' ,').lower() in _NOT_BEFORE_LOCATED:
            continue
        return f'{before} located{text[match.start() :]}'
    return text
