"""Which lesions a set of attributes fits, and the sets that fit one, several or none for certain."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np

from .attributes import EXACT, TOLERANCE, Attributes, rounded

Claim = dict[str, str | float]  # attribute -> word or number
AXES = ('horizontal', 'vertical')
LIMIT = 3  # attributes of a partial expression


def fits(attributes: Attributes, claim: Mapping[str, str | float]) -> bool | None:
    """Whether a claim fits a lesion; ``None`` where that is not certain."""
    verdict: bool | None = True
    for name, value in claim.items():
        one = _fits_one(attributes, name, value)
        if one is False:
            return False
        verdict = None if one is None else verdict
    return verdict


def _fits_one(attributes: Attributes, name: str, value: str | float) -> bool | None:
    if name in attributes.numbers:
        own = attributes.numbers[name]
        if rounded(name, own) == value:
            return True
        return False if abs(own - value) >= max(EXACT[name], TOLERANCE * value) else None
    words = attributes.words.get(name)
    if words is None:
        return None
    if value not in words:
        return False
    return True if len(words) == 1 else None


def fitting(claim: Mapping[str, str | float], lesions: Sequence[Attributes]) -> list[int] | None:
    """Indices of the lesions that a claim fits; ``None`` where it is not certain of any one of them."""
    verdicts = [fits(lesion, claim) for lesion in lesions]
    return None if None in verdicts else [i for i, verdict in enumerate(verdicts) if verdict]


def sayable(claim: Mapping[str, str | float], template: Mapping, in_picture: bool) -> bool:
    """Whether a sentence can say these attributes together: one place, and no 'middle' of which axis nobody knows."""
    axes = set(AXES) & set(claim)
    if len({'segment', 'side'} & set(claim)) + bool(axes) > 1:
        return False
    if len(axes) == 1:
        suffix = '_in_picture' * in_picture
        both = [set(template['measures'][axis + suffix]['words']) for axis in AXES]
        return claim[axes.pop()] not in both[0] & both[1]
    return True


def full_claim(attributes: Attributes, template: Mapping, in_picture: bool) -> Claim:
    """All that is certain of a lesion, in the order of ``template['full']``; of several places the first."""
    sure, claim = attributes.sure(), {}
    for entry in template['full']:
        if entry == 'size' and set(EXACT) & set(claim):  # the diameter says it
            continue
        together = {name: sure[name] for name in _expand([entry]) if name in sure}
        if together and sayable({**claim, **together}, template, in_picture):
            claim |= together
    return claim


def partial_claims(
    index: int, lesions: Sequence[Attributes], template: Mapping, in_picture: bool
) -> Iterable[list[Claim]]:
    """Sets of attributes that fit one lesion and no other, grouped by their number, the fewest first."""
    sure = lesions[index].sure()
    names = [name for name in _expand(template['partial']) if name in sure]
    for number in range(1, min(LIMIT, len(names)) + 1):
        claims = [{name: sure[name] for name in chosen} for chosen in combinations(names, number)]
        good = [c for c in claims if sayable(c, template, in_picture) and fitting(c, lesions) == [index]]
        if good:
            yield good


def several_claims(lesions: Sequence[Attributes], template: Mapping, in_picture: bool) -> list[tuple[Claim, list[int]]]:
    """Sets of one or two attributes that fit at least two lesions, one set for each group of lesions."""
    found: dict[tuple[int, ...], Claim] = {}
    for lesion in lesions:
        sure = lesion.sure()
        names = [n for n in _expand(template['partial']) if n in sure and n not in EXACT]
        for number in (1, 2):
            for chosen in combinations(names, number):
                claim = {name: sure[name] for name in chosen}
                if sayable(claim, template, in_picture):
                    group = fitting(claim, lesions)
                    if group is not None and len(group) > 1:
                        found.setdefault(tuple(group), claim)
    return [(claim, list(group)) for group, claim in found.items()]


def none_claims(lesions: Sequence[Attributes], template: Mapping, in_picture: bool) -> list[Claim]:
    """True sets of two attributes with one of them changed to another word, so that they fit no lesion for certain."""
    measures, suffix = template['measures'], '_in_picture' * in_picture
    other = {
        'horizontal': measures['horizontal' + suffix]['words'],
        'vertical': measures['vertical' + suffix]['words'],
        'size': measures['size_mm']['words'],
        'shape': [*measures['solidity']['words'][:-1], *measures['axis_ratio']['words']],
        'boundary': measures['boundary']['words'],
        'density': measures['density']['words'],
        'segment': list(template['segments'].values()),
        'side': list(template['lobes']),
    }
    found: list[Claim] = []
    for lesion in lesions:
        sure = lesion.sure()
        names = [name for name in _expand(template['partial']) if name in sure and name in other]
        for chosen in combinations(names, min(2, len(names))):
            for changed in chosen:
                for word in other[changed]:
                    claim = {name: sure[name] for name in chosen} | {changed: word}
                    if claim not in found and sayable(claim, template, in_picture) and fitting(claim, lesions) == []:
                        found.append(claim)
    return found


def _expand(names: Sequence[str]) -> list[str]:
    """``place`` stands for both axes, ``diameter`` for that in mm."""
    parts = {'place': list(AXES), 'diameter': list(EXACT)}
    return [part for name in names for part in parts.get(name, [name])]


def draw(items: Sequence, number: int, rng: np.random.Generator) -> list:
    """Some of the items without repeats, in random order."""
    return [items[i] for i in rng.permutation(len(items))[:number]]
