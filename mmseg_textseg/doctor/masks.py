"""Masks: how much they cover, and whether they are where the sentence says."""

import re
from collections import Counter

import numpy as np

from ..datasets.direction_words import find_direction_words
from .findings import Finding, plural
from .tables import Rows

SIDES = ('left', 'right', 'upper', 'lower')
# Less of the mask than this in the named half of the picture is nothing.
LEAST = 0.05
# When of many sentences more than this share fit neither convention, the sides are not the picture's halves at all.
HOPELESS, MANY = 0.25, 20
TINY, HUGE = 0.001, 0.9
STRETCH = 1.5
_NEGATION = re.compile(r"\b(?:no|not|without|neither|nor|never|none|absent|spar(?:es|ed|ing)|except|free|n't)\b", re.I)
_PAIRED_LOBES = re.compile(r'\b(?:lung|lungs|pulmonary|thyroid)\b', re.I)


def named_sides(text: str) -> frozenset[str]:
    """Halves of the picture (or of the patient) in which a sentence says its mask is.

    Left out are words that compare ("leftmost"), relate to something else ("left of the vessel"), are denied in their
    clause ("no nodule on the left"), or name a part of an organ that has no half of the picture to itself (a liver's
    lobes and segments, an hour on a breast).
    """
    sides: set[str] = set()
    for word in find_direction_words(text):
        clause = re.split(r'[,;.:]\s', text[: word.start])[-1]
        skipped = (
            word.kind in ('relation', 'segment')
            or word.word.lower().endswith('most')
            or (word.kind == 'clock' and word.anatomical)
            or (word.kind == 'lobe' and not _PAIRED_LOBES.search(text))
            or _NEGATION.search(clause)
        )
        if skipped:
            continue
        # How high a lobe is in the organ says nothing about the picture.
        lobe = word.kind in ('lobe', 'abbreviation')
        sides |= {side for side in word.direction & set(SIDES) if side in ('left', 'right') or not lobe}
    return frozenset(sides)


def wrong_sides(rows: Rows, masks: np.ndarray) -> list[Finding]:
    """Sentences that name a side on which their mask is not, and a note on how sides were understood."""
    named = np.zeros((len(rows.texts), len(SIDES)), bool)
    for number, text in enumerate(rows.texts):
        sides = named_sides(text)
        named[number] = [side in sides for side in SIDES]
    shown = (masks['read'] & (masks['share'] > 0))[rows.pair] if len(rows) else np.zeros(0, bool)
    entries = np.flatnonzero(shown & named[rows.text].any(axis=1)) if len(rows) else np.zeros(0, int)
    if not len(entries):
        return []
    said = named[rows.text[entries]]
    there = np.stack([masks[side][rows.pair[entries]] for side in SIDES], axis=1)
    lateral, vertical = said[:, :2].any(axis=1), said[:, 2:].any(axis=1)
    picture = (said[:, :2] & (there[:, :2] < LEAST)).any(axis=1)
    patient = (said[:, :2] & (there[:, 1::-1] < LEAST)).any(axis=1)
    above = (said[:, 2:] & (there[:, 2:] < LEAST)).any(axis=1)
    mirrored = bool(patient.sum() < picture.sum())
    wrong = (patient if mirrored else picture) | above
    owner = "patient's" if mirrored else "picture's"
    told = (
        f'of {plural(int(lateral.sum()), "sentence")} naming left or right, {int(picture.sum()):,} do not fit as '
        f"the picture's sides, {int(patient.sum()):,} as the patient's (mirrored); of {int(vertical.sum()):,} naming "
        f'upper or lower, {int(above.sum()):,} do not fit'
    )
    findings = [Finding('sides', f'{told}. Taken as the {owner}', len(entries))]
    if not wrong.any():
        return findings
    misfit = (patient if mirrored else picture).sum()
    if lateral.sum() >= MANY and misfit > HOPELESS * lateral.sum():
        told += '. Neither fits well: these may be sides of an organ that fills the picture, and no fault'
    examples = []
    for e, words, shares in zip(entries[wrong], said[wrong], there[wrong], strict=True):
        seen = np.array(shares)[[1, 0, 2, 3]] if mirrored else np.array(shares)
        off = [side for side, w, share in zip(SIDES, words, seen, strict=True) if w and share < LEAST]
        where = ', '.join(f'{100 * share:.0f} % {side}' for side, share in zip(SIDES, shares, strict=True))
        detail = f'"{rows.texts[rows.text[e]]}" names {" and ".join(off)}; mask {rows.mask_path(e)} is in the '
        examples.append(rows.example(e, f"{detail}picture's {where} half"))
    number = int(wrong.sum())
    message = (
        f'{plural(number, "sentence")} {"names" if number == 1 else "name"} a side on which the mask is not: {told}'
    )
    return [Finding('wrong-side', message, number, examples), *findings]


def coverage(rows: Rows, masks: np.ndarray) -> list[Finding]:
    """Empty and full masks, balance of the classes."""
    used, first = np.unique(rows.pair, return_index=True)
    known = masks['read'][used] if len(used) else np.zeros(0, bool)
    used, first = used[known], first[known]
    if not len(used):
        return [Finding('skipped', 'masks: the tables name none that could be read', 0)]
    share = masks['share'][used]
    findings = _listed(rows, 'empty-mask', first[share == 0], used, first, share == 0, 'is empty')
    findings += _listed(rows, 'full-mask', first[share == 1], used, first, share == 1, 'covers the whole picture')
    filled = share > 0
    if filled.any():
        middle, low = float(np.median(share[filled])), np.argsort(share[filled])[:20]
        if middle < TINY or middle > HUGE:
            examples = [
                rows.example(e, f'mask {rows.mask_path(e)} covers {100 * s:.3g} % of the picture')
                for e, s in zip(first[filled][low], share[filled][low], strict=True)
            ]
            compared = 'less' if middle < TINY else 'more'
            message = f'half of the masks cover {compared} than {100 * middle:.2g} % of the picture'
            findings.append(Finding('class-balance', message, int(filled.sum()), examples))
    lines = []
    for number, split in enumerate(rows.splits):
        mine = np.unique(rows.pair[rows.split == number])
        mine = masks['share'][mine[masks['read'][mine]]]
        if len(mine):
            points = ', '.join(f'{100 * value:.3g}' for value in np.percentile(mine, [0, 5, 25, 50, 75, 95, 100]))
            lines.append(
                f'{split.name}: foreground {100 * mine.mean():.3g} % on average; least, 5, 25, 50, 75, 95 % quantile, '
                f'most: {points}; {int((mine == 0).sum()):,} of {len(mine):,} empty'
            )
    findings.append(Finding('masks', '\n'.join(lines), len(used)))
    return findings


def _listed(
    rows: Rows, check: str, entries: np.ndarray, used: np.ndarray, first: np.ndarray, which: np.ndarray, said: str
) -> list[Finding]:
    if not len(entries):
        return []
    parts = []
    for number, split in enumerate(rows.splits):
        mine = rows.split[first] == number
        if (mine & which).any():
            parts.append(f'{split.name} {int((mine & which).sum()):,} of {int(mine.sum()):,}')
    sided = sum(bool(named_sides(rows.texts[rows.text[e]])) for e in entries) if check == 'empty-mask' else 0
    examples = [
        rows.example(e, f'mask {rows.mask_path(e)} {said}; the sentence: "{rows.texts[rows.text[e]]}"') for e in entries
    ]
    words = said if len(entries) == 1 else said.replace('is ', 'are ').replace('covers', 'cover')
    message = f'{len(entries):,} of {plural(len(used), "mask")} {words}'
    message += f' ({", ".join(parts)})' + (f'; {sided:,} of their sentences name a side' if sided else '')
    return [Finding(check, message, len(entries), examples)]


def picture_findings(rows: Rows, images: np.ndarray) -> list[Finding]:
    """Sizes and channels; pictures of one grey, and 16-bit ones read as 8-bit."""
    used, first = np.unique(rows.image, return_index=True)
    known = images['read'][used] if len(used) else np.zeros(0, bool)
    used, first = used[known], first[known]
    if not len(used):
        return []
    facts, findings = images[used], []
    for check, which, said in (
        ('blank-image', facts['flat'], 'of one grey value'),
        ('deep-image', facts['deep'], 'of more than 8 bits, read as 8 bits'),
    ):
        if which.any():
            examples = [rows.example(e, f'{rows.image_path(e)} is {said}') for e in first[which]]
            findings.append(Finding(check, f'{plural(len(examples), "image")} {said}', len(examples), examples))
    aspect = facts['width'] / facts['height']
    sizes = Counter(zip(facts['height'].tolist(), facts['width'].tolist(), strict=True))
    stretched = aspect.max() > STRETCH * aspect.min()
    unsized = sorted({split.name for split in rows.splits if not split.resized})
    if len(sizes) > 1 and (stretched or unsized):
        order = np.argsort(aspect)
        ends = dict.fromkeys([*order[:2].tolist(), *order[-2:].tolist()])
        examples = [
            rows.example(first[i], f'{rows.image_path(first[i])} is {facts["height"][i]} x {facts["width"][i]}')
            for i in ends
        ]
        message = (
            f'{len(sizes):,} sizes (height x width), width to height from {aspect.min():.2f} to {aspect.max():.2f}'
        )
        message += (
            f'; nothing resizes in the pipeline of {", ".join(unsized)}'
            if unsized and any(split.tokenizer or split.resized for split in rows.splits)
            else ''
        )
        findings.append(Finding('sizes-vary', message, len(sizes), examples))
    common = ', '.join(f'{h} x {w} ({n:,})' for (h, w), n in sizes.most_common(4))
    modes = ', '.join(f'{mode.decode()} ({n:,})' for mode, n in Counter(facts['mode'].tolist()).most_common())
    message = (
        f'{plural(len(used), "image")}, {facts["height"].min()} to {facts["height"].max()} high, '
        f'{facts["width"].min()} to {facts["width"].max()} wide; {plural(len(sizes), "size")}, the most common {common}'
        f'; channels {modes}'
    )
    findings.append(Finding('images', message, len(used)))
    return findings
