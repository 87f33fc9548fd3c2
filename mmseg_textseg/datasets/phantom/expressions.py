"""Sentences that name one lesion of a slice, and the proof that each fits exactly one.

An :class:`Expression` is a set of attributes and at most one relation. A lesion meets an attribute, does not meet it,
or is *unclear* (a lesion half in the left lobe, a diameter too close to tell). An expression is used only if exactly
one lesion meets it and no other lesion is unclear, so that no sentence hangs on a hair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from .lesions import Lesion

LARGER_BY = 1.15  # 'largest' needs this factor of diameter over the next
UPPER_BY = 0.04  # 'uppermost' needs this fraction of the picture's height over the next
EASY_LARGER_BY, EASY_UPPER_BY = 1.3, 0.08
EASY_SMALL, EASY_LARGE = 0.135, 0.16  # largest diameter as a fraction of the picture's side
TONES = {'non-enhancing': 'dark', 'homogeneous enhancement': 'bright', 'ring enhancement': 'ring-enhancing'}
ENHANCEMENT_WORDS = {'non-enhancing': 'no enhancement'}
PLURALS = {
    'lesion': 'lesions',
    'cyst': 'cysts',
    'hemangioma': 'hemangiomas',
    'hepatocellular carcinoma': 'hepatocellular carcinomas',
    'metastasis': 'metastases',
    'focal nodular hyperplasia': 'focal nodular hyperplasias',
}
RELATIONS = ('largest', 'smallest', 'uppermost', 'lowermost')


@dataclass(frozen=True)
class Expression:
    """A sentence and what it claims.

    Attributes:
        text: the sentence, with a capital first and a full stop last.
        kind: ``'full'`` (all six attributes) or ``'partial'``.
        attributes: ``((name, value), ...)``; names are ``type``, ``segment``, ``side``, ``diameter_mm``, ``shape``,
            ``boundary``, ``enhancement``, ``height`` (``'upper'``, ``'lower'``), ``size`` (``'large'``, ``'small'``).
        relation: one of ``RELATIONS`` among the lesions that meet ``attributes``, or None.
        pair: whether the sentence says that there are two such lesions.
    """

    text: str
    kind: str
    attributes: tuple[tuple[str, object], ...]
    relation: str | None = None
    pair: bool = False


def meets(lesion: Lesion, name: str, value: object) -> bool | None:
    """Whether a lesion meets an attribute; None if it is too close to tell."""
    if name == 'segment':
        if lesion.segment == value:
            return True
        return False if lesion.segment_share.get(value, 0.0) < 0.25 else None
    if name == 'side':
        if lesion.segment_share.get('I', 0.0) > 0.25:
            return None  # the caudate belongs to neither lobe for many readers
        share = lesion.left_share if value == 'left' else 1 - lesion.left_share
        return True if share >= 0.75 else False if share <= 0.25 else None
    if name == 'diameter_mm':
        if lesion.rounded_mm == value:
            return True
        return False if abs(lesion.diameter_mm - value) >= max(0.5, 0.1 * value) else None
    if name == 'height':
        height = -lesion.height if value == 'upper' else lesion.height
        return True if height >= EASY_UPPER_BY / 2 else False if height <= -EASY_UPPER_BY / 2 else None
    if name == 'size':
        large = True if lesion.extent >= EASY_LARGE else False if lesion.extent <= EASY_SMALL else None
        return large if large is None else large == (value == 'large')
    return getattr(lesion, name) == value


def unique_match(expression: Expression, lesions: Sequence[Lesion], easy: bool = False) -> int | None:
    """Index of the one lesion that fits an expression.

    Args:
        expression: what is claimed.
        lesions: all lesions of the slice.
        easy: use the wider margins of the easy phantom.

    Returns:
        The index, or None if no lesion fits, several do, or it is too close to tell.
    """
    matching = []
    for index, lesion in enumerate(lesions):
        verdicts = [meets(lesion, name, value) for name, value in expression.attributes]
        if any(v is False for v in verdicts):
            continue
        if any(v is None for v in verdicts):
            return None
        matching.append(index)
    if expression.relation is None:
        return matching[0] if len(matching) == 1 else None
    if len(matching) < 2 or (expression.pair and len(matching) != 2):
        return None
    return _extreme(expression.relation, lesions, matching, easy)


def _extreme(relation: str, lesions: Sequence[Lesion], among: list[int], easy: bool) -> int | None:
    """The first by ``relation`` among some lesions, by a margin; None if it is close."""
    larger_by = EASY_LARGER_BY if easy else LARGER_BY
    upper_by = EASY_UPPER_BY if easy else UPPER_BY
    if relation in ('largest', 'smallest'):
        sign = 1 if relation == 'largest' else -1
        first, second = sorted(among, key=lambda i: -sign * lesions[i].diameter_mm)[:2]
        ratios = [
            (lesions[first].diameter_mm / lesions[second].diameter_mm) ** sign,
            min((lesions[first].area / lesions[i].area) ** sign for i in among if i != first),
        ]
        return first if min(ratios) >= larger_by else None
    sign = 1 if relation == 'uppermost' else -1
    first, second = sorted(among, key=lambda i: sign * lesions[i].center[1])[:2]
    return first if abs(lesions[first].center[1] - lesions[second].center[1]) >= upper_by else None


def _a(words: str) -> str:
    return ('an ' if words[0] in 'aeio' else 'a ') + words


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:] + '.'


def _words(lesion: Lesion) -> dict[str, str]:
    return dict(
        type=lesion.type,
        segment=lesion.segment,
        side=lesion.side,
        mm=f'{lesion.rounded_mm:g} mm',
        shape=lesion.shape,
        boundary=lesion.boundary,
        enhancement=ENHANCEMENT_WORDS.get(lesion.enhancement, lesion.enhancement),
    )


def _full(lesion: Lesion) -> list[Expression]:
    w = _words(lesion)
    texts = [
        f'{_a(w["type"])} in segment {w["segment"]} of the liver, with a diameter of {w["mm"]}, {w["shape"]} shape, '
        f'{w["boundary"]} boundary, and {w["enhancement"]}',
        f'{_a(w["shape"])} {w["type"]} in segment {w["segment"]} of the liver, {w["mm"]} in diameter, '
        f'with {w["boundary"]} boundary and {w["enhancement"]}',
        f'in segment {w["segment"]} of the liver, {_a(w["type"])} with {w["shape"]} shape, {w["boundary"]} boundary, '
        f'{w["enhancement"]}, and a diameter of {w["mm"]}',
        f'{_a(w["type"])} with {w["enhancement"]}, {w["shape"]} shape, and {w["boundary"]} boundary, '
        f'{w["mm"]} in diameter, in segment {w["segment"]} of the liver',
        f'{_a(w["shape"])} {w["type"]} with a diameter of {w["mm"]}, {w["boundary"]} boundary, and '
        f'{w["enhancement"]}, in liver segment {w["segment"]}',
    ]
    names = ('type', 'segment', 'diameter_mm', 'shape', 'boundary', 'enhancement')
    attributes = tuple((n, _value(lesion, n)) for n in names)
    return [Expression(_sentence(text), 'full', attributes) for text in texts]


def _value(lesion: Lesion, name: str) -> object:
    return lesion.rounded_mm if name == 'diameter_mm' else getattr(lesion, name)


def _partial(lesion: Lesion) -> list[Expression]:
    """All sentences of two or three attributes."""
    w, found = _words(lesion), []
    names = ('type', 'segment', 'side', 'diameter_mm', 'shape', 'boundary', 'enhancement')
    for chosen in (c for n in (2, 3) for c in combinations(names, n)):
        if {'segment', 'side'} <= set(chosen):
            continue  # the segment says the side
        noun = w['type'] if 'type' in chosen else 'lesion'
        place = f' in segment {w["segment"]} of the liver' if 'segment' in chosen else ''
        place = f' in the {w["side"]} lobe of the liver' if 'side' in chosen else place
        details = {
            'diameter_mm': f'a diameter of {w["mm"]}',
            'shape': f'{_a(w["shape"])} shape',
            'boundary': f'a {w["boundary"]} boundary',
            'enhancement': w['enhancement'],
        }
        told = [text for name, text in details.items() if name in chosen]
        joined = (
            told[0]
            if len(told) == 1
            else ', '.join(told[:-1]) + (',' * (len(told) > 2)) + f' and {told[-1]}'
            if told
            else ''
        )
        text = _a(noun) + place + ((', ' if place else ' ') + f'with {joined}' if told else '')
        attributes = tuple((n, _value(lesion, n)) for n in chosen)
        found.append(Expression(_sentence(text), 'partial', attributes))
    return found


def _relational(lesion: Lesion) -> list[Expression]:
    """Superlatives among all lesions, those of a lobe, a type or a tone; and plain 'the dark lesion in ...'."""
    tone, found = TONES[lesion.enhancement], []
    subsets = [((), 'lesion', '')]
    subsets.append(((('enhancement', lesion.enhancement),), f'{tone} lesion', ''))
    subsets.append(((('type', lesion.type),), lesion.type, ''))
    place = f' in the {lesion.side} lobe'
    subsets += [((*attributes, ('side', lesion.side)), noun, place) for attributes, noun, _ in subsets]
    for attributes, noun, where in subsets:
        if attributes:
            found.append(Expression(_sentence(f'the {noun}{where}'), 'partial', attributes))
        for relation in RELATIONS:
            found.append(Expression(_sentence(f'the {relation} {noun}{where}'), 'partial', attributes, relation))
        for relation, word in (('largest', 'larger'), ('smallest', 'smaller')):
            text = _sentence(f'the {word} of the two {PLURALS.get(noun, noun + "s")}{where}')
            found.append(Expression(text, 'partial', attributes, relation, pair=True))
    return found


def _easy(lesion: Lesion) -> list[Expression]:
    """Sentences of one or two attributes that are plain to see: lobe, height, size and tone."""
    tone, height = TONES[lesion.enhancement], 'upper' if lesion.height < 0 else 'lower'
    size = 'large' if lesion.extent > (EASY_SMALL + EASY_LARGE) / 2 else 'small'
    place = f' in the {lesion.side} lobe'
    words = {
        (('enhancement', lesion.enhancement),): f'{tone} lesion',
        (('height', height),): f'{height} lesion',
        (('size', size),): f'{size} lesion',
        (('height', height), ('enhancement', lesion.enhancement)): f'{height} {tone} lesion',
        (('size', size), ('enhancement', lesion.enhancement)): f'{size} {tone} lesion',
    }
    found = [(names, f'the {noun}') for names, noun in words.items()]
    found += [
        ((*names, ('side', lesion.side)), f'the {noun}{place}') for names, noun in words.items() if len(names) == 1
    ]
    found.append(((('side', lesion.side),), f'the lesion{place}'))
    expressions = [Expression(_sentence(text), 'partial', names) for names, text in found]
    relation = 'largest' if size == 'large' else 'smallest'
    for names, noun in (((), 'lesion'), ((('enhancement', lesion.enhancement),), f'{tone} lesion')):
        expressions.append(Expression(_sentence(f'the {relation} {noun}'), 'partial', names, relation))
    return expressions


def describe(lesions: Sequence[Lesion], rng: np.random.Generator, easy: bool = False) -> list[list[Expression]] | None:
    """Chooses two to five distinct expressions for every lesion, each fitting that lesion only.

    Args:
        lesions: all lesions of a slice.
        rng: source of the choice.
        easy: short sentences of one or two plain attributes.

    Returns:
        One list a lesion, or None if a lesion has fewer than two expressions.
    """
    chosen = []
    for index, lesion in enumerate(lesions):

        def proven(candidates: list[Expression], index: int = index) -> list[Expression]:
            fitting = [e for e in candidates if unique_match(e, lesions, easy) == index]
            return [fitting[i] for i in rng.permutation(len(fitting))]

        if easy:
            picked = proven(_easy(lesion))[: int(rng.integers(2, 5))]
        else:
            picked = proven(_full(lesion))[: 1 + int(rng.random() < 0.3)]
            picked += proven(_partial(lesion))[: 1 + int(rng.random() < 0.4)]
            picked += proven(_relational(lesion))[: int(rng.choice(2, p=[0.3, 0.7]))]
        if len(picked) < 2:
            return None
        chosen.append(picked)
    return chosen
