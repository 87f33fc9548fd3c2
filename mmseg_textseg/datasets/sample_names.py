"""Names of a dataset's samples, unique and the same in every run, and what stands in it twice.

Hashes stand for strings, so that a million rows cost megabytes: that two of them meet by chance has a probability
below 1e-7 then, and would double a name or raise a needless warning.
"""

import hashlib
import logging
import os
import os.path as osp
import re
from collections import defaultdict

from mmengine.logging import print_log

from .annotations import AnnotationRow

LONGEST = 200  # bytes: file systems take 255 for a name, of which what is added to it needs some


class SampleNames:
    """Pairs of image and mask -> names made of their stems: the same stems in two folders get '~2', '~3', ...

    Of a volume each slice is an image. Masks and pictures are saved under the names: none leads to another folder,
    and what is too long for a file system ends in a digest of the whole instead.
    """

    def __init__(self) -> None:
        self._copies: dict[int, int] = {}
        self._taken: set[int] = set()
        self._counts: defaultdict[int, int] = defaultdict(int)

    def of(self, image: str, mask: str | None, number: str | None = None) -> str:
        """The name of a pair; ``number`` is that of the slice."""
        stems = [_stem(path) for path in (image, mask) if path is not None]
        parts = [] if number is None else [re.sub(r'[^\w.+-]', '_', number)]  # a cell may say anything
        base = _shortened('-'.join([*dict.fromkeys(stems), *parts]))
        key = hash((image, mask, number))
        if key not in self._copies:
            copy = 1
            while hash(_numbered(base, copy)) in self._taken:
                copy += 1
            self._copies[key] = copy
            self._taken.add(hash(_numbered(base, copy)))
        return _numbered(base, self._copies[key])

    def count(self, image: str, mask: str | None, number: str | None = None) -> int:
        """How often it was asked for this pair before: numbers its expressions from 0."""
        key = hash((image, mask, number))
        self._counts[key] += 1
        return self._counts[key] - 1


def _stem(path: str) -> str:
    stem, extension = osp.splitext(osp.basename(path))
    return stem.removesuffix('.nii') if extension == '.gz' else stem


def _shortened(name: str) -> str:
    encoded = os.fsencode(name)
    if len(encoded) <= LONGEST:
        return name
    return f'{encoded[: LONGEST - 13].decode(errors="ignore")}-{hashlib.sha256(encoded).hexdigest()[:12]}'


def _numbered(base: str, copy: int) -> str:
    return base if copy == 1 else f'{base}~{copy}'


class Repeats:
    """Finds what stands in a table more than once, for a dataset that keeps it."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._repeated: set[int] = set()
        self._first = ''

    def note(self, row: AnnotationRow, text: str) -> None:
        """Look at one (image, mask, expression)."""
        key = hash((row.image, row.mask, row.slice, text))
        if key in self._seen:
            self._first = self._first or f'{osp.basename(row.image)}, {text!r}'
            self._repeated.add(key)
        self._seen.add(key)

    def warn(self, ann_file: str) -> None:
        """Say how many there were."""
        if self._repeated:
            print_log(
                f'{ann_file}: {len(self._repeated)} of {len(self._seen)} (image, mask, expression) stand there '
                f'more than once and will be used more than once, the first: {self._first}',
                logger='current',
                level=logging.WARNING,
            )
