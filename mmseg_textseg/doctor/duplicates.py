"""The same image, a case or nearly the same image in two splits."""

from itertools import combinations, pairwise

import numpy as np

from .findings import Finding, plural
from .tables import Rows

# Bits of the 256-bit hash that may differ for each of the 64-bit one; unrelated pictures differ in about 128. In BUSI
# the eight pairs of two splits that this lets through are of one scene each, seen again or moved (docs/doctor.md).
FINE_BITS = 10
CHUNK = 1 << 21  # pairs compared at once


def popcount(values: np.ndarray) -> np.ndarray:
    """Number of bits that are set in each uint64; the last axis is summed where there are two."""
    if hasattr(np, 'bitwise_count'):
        counts = np.bitwise_count(values).astype(np.int64)
    else:  # NumPy 1
        counts = np.unpackbits(np.ascontiguousarray(values)[..., None].view(np.uint8), axis=-1).sum(axis=-1)
    return counts if counts.ndim < 2 else counts.sum(axis=-1)


def near_pairs(first: np.ndarray, second: np.ndarray, distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of 64-bit hashes that differ in at most ``distance`` bits.

    Hashes so near agree in at least one of ``distance + 1`` groups of bits (pigeonhole), so only those that agree in a
    group are compared.

    Args:
        first: uint64 (N,), no value twice.
        second: uint64 (M,), no value twice.
        distance: bits.

    Returns:
        Indices into ``first`` and ``second``, each pair once.
    """
    found = [np.empty((2, 0), np.int64)]
    edges = np.linspace(0, 64, min(distance + 1, 64) + 1).round().astype(int)
    for low, high in pairwise(edges):
        bits = np.uint64((1 << int(high - low)) - 1)
        keys, others = (first >> np.uint64(low)) & bits, (second >> np.uint64(low)) & bits
        order = np.argsort(keys, kind='stable')
        starts = np.searchsorted(keys[order], others, 'left')
        counts = np.searchsorted(keys[order], others, 'right') - starts
        for begin, end in _chunks(counts):
            part = counts[begin:end]
            j = np.repeat(np.arange(begin, end), part)
            inside = np.arange(len(j)) - np.repeat(np.cumsum(part) - part, part)
            i = order[starts[j] + inside]
            near = popcount(first[i] ^ second[j]) <= distance
            found.append(np.stack([i[near], j[near]]))
    pairs = np.unique(np.concatenate(found, axis=1), axis=1)
    return pairs[0], pairs[1]


def _chunks(counts: np.ndarray) -> list[tuple[int, int]]:
    """Ranges whose counts sum to about ``CHUNK``."""
    block = np.cumsum(counts) // CHUNK
    edges = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), len(counts)]
    return list(pairwise(edges))


def _firsts(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each (image, role) once: image, role, its first entry."""
    key, entry = np.unique(rows.image * len(rows.roles) + rows.role, return_index=True)
    return key // len(rows.roles), key % len(rows.roles), entry


def same_images(rows: Rows, images: np.ndarray) -> list[Finding]:
    """The same pixels in two splits, and under two names in one."""
    image, role, entry = _firsts(rows)
    known = images['read'][image] & ~images['flat'][image]
    image, role, entry = image[known], role[known], entry[known]
    _, group = np.unique(images['digest'][image], axis=0, return_inverse=True)
    group = group.ravel()
    leaks, renamed = [], []
    order = np.lexsort((entry, role, group))
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        if len(members) < 2:
            continue
        by_role = {r: members[role[members] == r] for r in np.unique(role[members])}
        first = entry[members[0]]
        for other in list(by_role.values())[1:]:
            e = entry[other[0]]
            detail = f'{rows.image_path(e)} is the picture of {rows.where(first)}, {rows.image_path(first)}'
            leaks.append((e, detail))
        for same in by_role.values():
            if len(same) > 1:
                e, paths = entry[same[1]], [rows.image_path(entry[m]) for m in same]
                names = ' and '.join(paths[:3]) + ' ...' * (len(paths) > 3)
                detail = f'{names} are one picture ({rows.where(entry[same[0]])})'
                renamed.append((e, detail))
    findings = []
    if leaks:
        message = (
            f'{plural(len(leaks), "image")} of one split {"is" if len(leaks) == 1 else "are"} exactly in another too'
        )
        findings.append(Finding('same-image', message, len(leaks), [rows.example(*leak) for leak in leaks]))
    if renamed:
        message = f'{plural(len(renamed), "picture")} under more than one name in a split'
        findings.append(Finding('renamed-image', message, len(renamed), [rows.example(*one) for one in renamed]))
    return findings


def near_images(rows: Rows, images: np.ndarray, distance: int) -> list[Finding]:
    """Images that nearly equal one of another split; of each its nearest."""
    image, role, entry = _firsts(rows)
    known = images['read'][image] & ~images['flat'][image]
    image, role, entry = image[known], role[known], entry[known]
    found: list[tuple[int, int, str]] = []
    told: dict[str, int] = {}
    for a, b in combinations(range(len(rows.roles)), 2):
        one, two = np.flatnonzero(role == a), np.flatnonzero(role == b)
        nearest = _nearest(images[image[one]], images[image[two]], distance)
        if nearest:
            told[f'{rows.roles[b]} near {rows.roles[a]}'] = len(nearest)
        for j, (i, bits, fine) in nearest.items():
            e, other = entry[two[j]], entry[one[i]]
            detail = (
                f'{rows.image_path(e)} is nearly {rows.where(other)}, {rows.image_path(other)} '
                f'({bits} of 64 bits differ, {fine} of 256)'
            )
            found.append((bits, fine, int(e), detail))
    if not found:
        return []
    examples = [rows.example(e, detail) for _, _, e, detail in sorted(found)]
    parts = ', '.join(f'{count:,} of {name}' for name, count in told.items())
    message = f'{plural(len(found), "image")} nearly equal to one of another split ({parts})'
    return [Finding('near-image', message, len(found), examples)]


def _nearest(first: np.ndarray, second: np.ndarray, distance: int) -> dict[int, tuple[int, int, int]]:
    """Index into ``second`` -> (index into ``first``, bits of the coarse hash, bits of the fine one)."""
    # Equal hashes are compared once: a thousand slices of air have one.
    values, places = np.unique(first['coarse'], return_inverse=True)
    others, spots = np.unique(second['coarse'], return_inverse=True)
    i, j = near_pairs(values, others, distance)
    mine, theirs = _members(places), _members(spots)
    best: dict[int, tuple[int, int, int]] = {}
    for a, b in zip(i.tolist(), j.tolist(), strict=True):
        bits = int(popcount(values[a] ^ others[b]))
        for y in theirs[b]:
            fine = popcount(first['fine'][mine[a]] ^ second['fine'][y])
            # Exactly equal ones are reported as such.
            equal = (first['digest'][mine[a]] == second['digest'][y]).all(axis=1)
            fine = np.where(equal, 257, fine)
            k = int(fine.argmin())
            value = (int(mine[a][k]), bits, int(fine[k]))
            if value[2] <= FINE_BITS * max(1, distance) and (y not in best or value[2] < best[y][2]):
                best[int(y)] = value
    return best


def _members(inverse: np.ndarray) -> list[np.ndarray]:
    order = np.argsort(inverse.ravel(), kind='stable')
    return np.split(order, np.flatnonzero(np.diff(inverse.ravel()[order])) + 1)


def shared_cases(rows: Rows) -> list[Finding]:
    """Cases that stand in more than one split."""
    entries = np.flatnonzero(rows.case >= 0)
    key, first, counts = np.unique(
        rows.case[entries] * len(rows.roles) + rows.role[entries], return_index=True, return_counts=True
    )
    case = key // len(rows.roles)
    examples = []
    for group in np.split(np.arange(len(key)), np.flatnonzero(np.diff(case)) + 1):
        if len(group) < 2:
            continue
        places = [f'{rows.where(entries[first[g]])} ({plural(int(counts[g]), "sample")})' for g in group]
        detail = f'case {rows.cases[case[group[0]]]!r} is in {" and in ".join(places)}'
        examples.append(rows.example(entries[first[group[-1]]], detail))
    if not examples:
        return []
    return [Finding('shared-case', f'{plural(len(examples), "case")} in more than one split', len(examples), examples)]
