"""Partial expressions: only some of what a sentence says (LSMS IV: 1/4 or 1/2 of an expression at test time)."""

import hashlib
import math
import os.path as osp
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from mmengine.logging import print_log

from .annotations import AnnotationError, AnnotationRow

# What an attribute of a RefHL-Seg row adds to a sentence: the noun, the places, and after 'with' the details.
WORDING = {
    'type': '{}',
    'segment': 'in segment {} of the liver',
    'side': 'in the {} lobe of the liver',
    'diameter_mm': 'a diameter of {} mm',
    'shape': 'a {} shape',
    'boundary': 'a {} boundary',
    'enhancement': '{}',
}
PLACES = ('segment', 'side')
# A superlative is about the other lesions too: without it the same attributes mean something else.
RELATIVE = re.compile(r'\b(largest|larger|biggest|bigger|smallest|smaller|\w+most)\b', re.IGNORECASE)
SPOKEN = {'non-enhancing': 'no enhancement'}  # where the sentence has other words than the row


class PartialText:
    """Shortens sentences to a share of what they say, the same for the same sample and seed.

    Three ways, the first that fits a sentence:

    1. **Attributes.** Of the row's attributes those count whose value the sentence says ("segment VI", "7.5 mm",
       "round"). From two on, the kept ones are said anew: "A cyst in segment VI of the liver, with a round shape." Not
       of sentences that compare ("the largest cyst in the right lobe").
    2. **Fields.** A sentence of several parts between commas ("Bilateral pulmonary infection, two infected areas, upper
       left lung.") keeps some of them, in their order.
    3. Otherwise it stays whole.

    Where a table has MedVLSM's levels (``prompts`` p0, p1, ...), the level at the share is taken instead.

    Of ``n`` parts a share keeps ``max(1, floor(share * n + 1/2))``. What a quarter keeps, a half keeps too. A shortened
    sentence may fit more than one lesion.

    Args:
        keep: a share in (0, 1), or names of attributes to keep (with ``fields``, of fields).
        wording: attribute -> phrase with ``{}`` for the value; ``type`` is the noun ("lesion" without it).
        fields: names of the parts between commas, in order; needed to keep fields by name.
        seed: decides, with the sample, which parts are kept.

    Raises:
        ValueError: a share out of range, a name that is neither in ``wording`` nor in ``fields``, or a phrase
            without ``{}``.
    """

    def __init__(
        self,
        keep: float | Sequence[str],
        wording: Mapping[str, str] | None = None,
        fields: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        self.keep = keep if isinstance(keep, (int, float)) else (keep,) if isinstance(keep, str) else tuple(keep)
        self.wording, self.fields, self.seed = dict(wording or WORDING), tuple(fields), seed
        silent = [name for name, phrase in self.wording.items() if '{}' not in phrase]
        if silent:
            raise ValueError(f'wording of {", ".join(silent)} has no {{}} for the value')
        if isinstance(self.keep, tuple):
            unknown = [name for name in self.keep if name not in (*self.wording, *self.fields)]
            if unknown or not self.keep:
                known = ', '.join((*self.wording, *self.fields))
                raise ValueError(
                    f'keep names {", ".join(unknown) or "nothing"}; known: {known}, or a share such as 0.5'
                )
        elif not 0 < self.keep < 1:
            raise ValueError(f'keep is {self.keep}; expected a share above 0 and below 1, or names of attributes')

    def level(self, prompt: str) -> str:
        """Of MedVLSM's levels, each of which says more than the one before: half of ``'p6'`` is ``'p3'``.

        What cannot be lowered is given back; :meth:`shorten_rows` refuses it where a table has levels.
        """
        return prompt if self._no_level(prompt) else f'p{_part(self.keep, int(prompt[1:]))}'

    def _no_level(self, prompt: str) -> bool:
        return isinstance(self.keep, tuple) or not re.fullmatch(r'p\d+', prompt)

    def shorten_rows(self, rows: Iterable[AnnotationRow], ann_file: str, prompt: str) -> Iterator[AnnotationRow]:
        """Rows of a table with their expressions shortened; logs how many in which way.

        Args:
            rows: read at the lowered level, where the table has levels.
            ann_file: the table, for messages.
            prompt: the level before it was lowered.

        Raises:
            AnnotationError: a table has levels, and ``keep`` names attributes or ``prompt`` is none of p0, p1, ...
        """
        how: Counter[str] = Counter()
        for row in rows:
            if row.in_levels:
                if self._no_level(prompt):
                    raise AnnotationError(
                        ann_file,
                        [
                            f'{row.source}: the expressions are in levels, of which a part of {prompt!r} by '
                            f'keep={self.keep!r} cannot be taken: keep a share of p1, p2, ..., or choose by prompt'
                        ],
                    )
                how[f'at level {self.level(prompt)}'] += len(row.expressions)
                yield row
                continue
            files = ' '.join(osp.basename(path) for path in (row.image, row.mask) if path is not None)
            texts = []
            for text in row.expressions:
                short, way = self.shorten(text, row.attributes, f'{files} {text}')
                texts.append(short)
                how[way] += 1
            yield replace(row, expressions=tuple(texts))
        told = ', '.join(f'{count} {way}' for way, count in sorted(how.items()))
        print_log(f'{ann_file}: partial text, keep={self.keep}: {told}', logger='current')

    def shorten(self, text: str, attributes: Mapping[str, object], sample: str) -> tuple[str, str]:
        """Shorten one sentence.

        Args:
            text: the sentence.
            attributes: the other columns of its row.
            sample: what the choice of parts depends on, beside the seed.

        Returns:
            The new sentence and how it was made: ``'attributes'``, ``'fields'`` or ``'whole'``.
        """
        said = {} if RELATIVE.search(text) else self._said(text, attributes)
        if len(said) > 1:
            kept = self._kept(list(said), sample)
            if kept:
                return self._sentence({name: said[name] for name in said if name in kept}), 'attributes'
        parts = [part for part in re.split(r'\s*[,;]\s+(?:and\s+)?', text.strip().rstrip('.')) if part]
        if len(parts) > 1:
            names = list(self.fields) if len(self.fields) == len(parts) else [str(i) for i in range(len(parts))]
            kept = self._kept(names, sample)
            if kept:
                words = ', '.join(part for name, part in zip(names, parts, strict=True) if name in kept)
                return _capital(words) + ('.' if text.rstrip().endswith('.') else ''), 'fields'
        return text, 'whole'

    def _said(self, text: str, attributes: Mapping[str, object]) -> dict[str, str]:
        """Attribute -> its words, of those that the sentence says."""
        said = {}
        for name in self.wording:
            value = attributes.get(name)
            if value is None or isinstance(value, bool):
                continue
            words = f'{value:g}' if isinstance(value, (int, float)) else str(value)
            for form in (words, SPOKEN.get(words, words)):
                # Not a part of a word or a number: neither 'I' of 'VI' nor '7.5' of '17.5'.
                if form and re.search(rf'(?<![\w.-]){re.escape(form)}(?![\w-]|\.\d)', text, re.IGNORECASE):
                    said[name] = form
        return said

    def _kept(self, names: list[str], sample: str) -> set[str]:
        if isinstance(self.keep, tuple):
            return set(self.keep) & set(names)
        digest = hashlib.sha256(f'{self.seed} {sample}'.encode()).digest()
        order = np.random.default_rng(int.from_bytes(digest[:8], 'big')).permutation(len(names))
        return {names[i] for i in order[: _part(self.keep, len(names))]}

    def _sentence(self, kept: dict[str, str]) -> str:
        phrases = {name: self.wording[name].format(words) for name, words in kept.items()}
        words = _article(f'a {phrases.pop("type", "lesion")}')
        places = [phrases.pop(name) for name in PLACES if name in phrases]
        details = [_article(phrase) for phrase in phrases.values()]
        told = details[0] if len(details) == 1 else ', '.join(details[:-1]) + ',' * (len(details) > 2)
        told = told if len(details) < 2 else f'{told} and {details[-1]}'
        words = ' '.join([words, *places])
        return _capital(words + (f'{"," * bool(places)} with {told}' if details else '')) + '.'


def _part(share: float, number: int) -> int:
    return max(1, math.floor(share * number + 0.5))


def _article(words: str) -> str:
    return re.sub(r'^a (?=[aeio])', 'an ', words)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
