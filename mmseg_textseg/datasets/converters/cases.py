"""Cases of a folder of volumes: which image and mask belong together, and in which split."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..annotation_readers import read_table
from .conversion import ConversionError

SPLITS = ('train', 'val', 'test')


@dataclass(frozen=True)
class Case:
    """An image and its mask: files, or folders of a DICOM series."""

    name: str
    image: Path
    mask: Path


def find_cases(src: Path, image: str, mask: str) -> dict[str, Case]:
    """Pairs of files and folders whose paths end as two patterns say.

    Args:
        src: where they lie, at any depth.
        image: pattern with ``{case}``; ``*`` is any part of a name, as ``'imagesTr/{case}.nii*'``.
        mask: pattern with ``{case}``.

    Returns:
        Name -> case, by name, with numbers in their order.

    Raises:
        ConversionError: with all cases that lack one of the two, or have one twice.
    """
    # What macOS adds is left out.
    paths = [path.relative_to(src) for path in sorted(src.rglob('*'))]
    paths = [path for path in paths if not any(part.startswith(('.', '__MACOSX')) for part in path.parts)]
    problems: list[str] = []
    found = [_by_case(src, paths, pattern, problems) for pattern in (image, mask)]
    for name in sorted(found[0].keys() ^ found[1].keys(), key=_natural):
        there, lacking = (image, mask) if name in found[0] else (mask, image)
        path = (found[0].get(name) or found[1][name]).relative_to(src)
        problems.append(f'{path}, found as {there}, has no {lacking} with the case {name!r}: add it, or take it away')
    if not problems and not found[0]:
        problems.append(f'nothing is named like {image} and {mask}: see --image and --mask')
    if problems:
        raise ConversionError(str(src), problems)
    return {name: Case(name, found[0][name], found[1][name]) for name in sorted(found[0], key=_natural)}


def _by_case(src: Path, paths: Sequence[Path], pattern: str, problems: list[str]) -> dict[str, Path]:
    if pattern.count('{case}') != 1:
        problems.append(f'pattern {pattern}: expected {{case}} in it, once')
        return {}
    parts = re.split(r'(\{case\}|\*)', pattern.strip('/'))
    words = {'{case}': r'(?P<case>[^/]+?)', '*': '[^/]*'}
    expression = re.compile('(?:.*/)?' + ''.join(words.get(part, re.escape(part)) for part in parts))
    cases: dict[str, Path] = {}
    for path in paths:
        match = expression.fullmatch(path.as_posix())
        if match is None:
            continue
        name = match['case']
        if name in cases:
            first = cases[name].relative_to(src)
            problems.append(f'{path} and {first} are both {pattern} of the case {name!r}: keep one')
        cases.setdefault(name, src / path)
    return cases


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Sorts 2 before 10."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r'(\d+)', name) if part]


def assign_splits(cases: Sequence[str], table: Path | None, shares: Sequence[float], seed: int) -> dict[str, str]:
    """The split of each case, all slices of which stay together.

    Args:
        cases: their names.
        table: with the columns ``case_id`` and ``split``; cases that it does not name are in no split.
        shares: of train, val and test, drawn from the cases where there is no table. A share above 0 gets a case.
        seed: of that draw.

    Returns:
        Case -> split, in the order of the cases.

    Raises:
        ConversionError: shares that do not add up to 1; with all that is wrong with the table.
    """
    if table is None:
        return _draw(cases, shares, seed)
    if not table.is_file():
        raise ConversionError(f'--splits {table}', ['is no file'])
    content = read_table(str(table))
    problems, splits = list(content.problems), {}
    missing = [column for column in ('case_id', 'split') if column not in content.columns]
    if missing:
        raise ConversionError(str(table), [f'no column {name}, only {", ".join(content.columns)}' for name in missing])
    for record in content.records:
        cells = (record.values.get(column) for column in ('case_id', 'split'))
        case, split = ('' if cell is None else str(cell).strip() for cell in cells)
        if case not in cases:
            problems.append(
                f'{record.source}: case {case!r} is not in --src: its cases are {", ".join(cases[:5])}, ...'
            )
        elif not split.isidentifier():
            problems.append(f'{record.source}: split is {split!r}: expected a word, as train')
        elif splits.setdefault(case, split) != split:
            problems.append(f'{record.source}: case {case!r} is in {splits[case]} already: keep it in one split')
    if problems or not splits:
        raise ConversionError(str(table), problems or ['names no case'])
    return {case: splits[case] for case in cases if case in splits}


def _draw(cases: Sequence[str], shares: Sequence[float], seed: int) -> dict[str, str]:
    if min(shares) < 0 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise ConversionError('--shares', [f'{", ".join(map(str, shares))}: expected three that add up to 1'])
    wanted = sum(share > 0 for share in shares)
    if len(cases) < wanted:
        raise ConversionError(
            '--shares', [f'{len(cases)} cases for {wanted} splits: give --splits, or shares of 0, as --shares 1 0 0']
        )
    counts = [max(1, round(share * len(cases))) if share > 0 else 0 for share in shares]
    while sum(counts) != len(cases):  # rounding
        largest = counts.index(max(counts))
        counts[largest] += 1 if sum(counts) < len(cases) else -1
    drawn = [split for split, count in zip(SPLITS, counts, strict=True) for _ in range(count)]
    order = np.random.default_rng(seed).permutation(len(cases))
    splits = {cases[place]: split for place, split in zip(order, drawn, strict=True)}
    return {case: splits[case] for case in cases}
