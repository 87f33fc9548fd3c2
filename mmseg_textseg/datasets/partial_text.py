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
from .attribute_words import AttributeWords
from .partial_wording import load_wording
from .text_lexicon import load_lexicon
from .wording import capital

# A superlative is about the other lesions too: without it the same attributes mean something else. So it is with "all".
RELATIVE = re.compile(r'^all\b|\b(largest|larger|biggest|bigger|smallest|smaller|\w+most)\b', re.IGNORECASE)
SPOKEN = {'non-enhancing': 'no enhancement'}  # where the sentence has other words than the row


class PartialText:
    """Shortens sentences to a share of what they say, the same for the same sample and seed.

    Three ways, the first that fits a sentence:

    1. **Attributes.** Of the row's attributes those count whose value the sentence says ("segment VI", "7.5 mm",
       "round"). From two on, the kept ones are said anew: "A cyst in segment VI of the liver, with a round shape." Not
       of sentences that compare ("the largest cyst in the right lobe") or speak of all lesions.
    2. **Fields.** A sentence that says no attribute, of several parts between commas ("Bilateral pulmonary infection,
       two infected areas, upper left lung.") keeps some of them, in their order.
    3. **Words.** With ``words=True``, words that say an attribute are taken out: "The lesion in the left lobe." of "The
       dark lesion in the left lobe." Of sentences that compare too, which may mean something else then.
    4. Otherwise it stays whole.

    Where a table has MedVLSM's levels (``prompts`` p0, p1, ...), the level at the share is taken instead.

    ``drop`` leaves a single part out and keeps the others, in the first way in which the sentence has that part.

    Of ``n`` parts a share keeps ``max(1, floor(share * n + 1/2))``. What a quarter keeps, a half keeps too. A shortened
    sentence may fit more than one lesion.

    Args:
        keep: a share in (0, 1), or names of attributes to keep (with ``fields``, of fields). Not with ``drop``.
        wording: attribute -> phrase with ``{}`` for the value, or the file that ``tools/make_expressions.py`` writes;
            see :func:`.load_wording`. The noun is "lesion" where it is not kept.
        fields: names of the parts between commas, in order; needed to keep fields by name. ``drop`` knows them as
            ``field 1``, ``field 2``, ... without.
        seed: decides, with the sample, which parts are kept.
        drop: name of an attribute, a field or (with ``words``) an attribute of the lexicon, ``side``, ``height``,
            ``center`` or all these three, ``place``.
        words: also take words out of sentences that have neither attributes nor fields.
        lexicon: of the words, as in :mod:`.text_lexicon`.

    Raises:
        ValueError: a share out of range, an unknown name, a phrase without ``{}``, or not one of ``keep`` and ``drop``.
    """

    def __init__(
        self,
        keep: float | Sequence[str] | None = None,
        wording: str | Mapping[str, str | Mapping] | None = None,
        fields: Sequence[str] = (),
        seed: int = 0,
        drop: str | None = None,
        words: bool = False,
        lexicon: str | Mapping | None = None,
    ) -> None:
        if (keep is None) == (drop is None):
            raise ValueError(f'keep is {keep} and drop is {drop}; expected one of them')
        shares = keep is None or isinstance(keep, (int, float))
        self.keep = keep if shares else (keep,) if isinstance(keep, str) else tuple(keep)
        self.wording, self.fields, self.seed = load_wording(wording), tuple(fields), seed
        self.drop, self.words = drop, AttributeWords(load_lexicon(lexicon)) if words else None
        if drop is not None:
            known = (*self.wording, *self.fields, *(self.words.names if self.words else ()))
            if drop not in known and not re.fullmatch(r'field [1-9]\d*', drop):
                raise ValueError(f'drop names {drop}; known: {", ".join(dict.fromkeys(known))}, field 1, field 2, ...')
        elif isinstance(self.keep, tuple):
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
        return not isinstance(self.keep, (int, float)) or not re.fullmatch(r'p\d+', prompt)

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
            if row.in_levels and not (self.drop and self.words):
                if self._no_level(prompt):
                    raise AnnotationError(
                        ann_file,
                        [
                            f'{row.source}: the expressions are in levels, of which a part of {prompt!r} by '
                            f'{self._what()} cannot be taken: keep a share of p1, p2, ..., or choose by prompt'
                        ],
                    )
                how[f'at level {self.level(prompt)}'] += len(row.expressions)
                yield row
                continue
            files = ' '.join(osp.basename(path) for path in (row.image, row.mask) if path is not None)
            texts = []
            for text in row.expressions:
                short, way = self.shorten(text, row.attributes, f'{files} {text}', row.in_levels)
                texts.append(short)
                how[way] += 1
            yield replace(row, expressions=tuple(texts))
        told = ', '.join(f'{count} {way}' for way, count in sorted(how.items()))
        print_log(f'{ann_file}: partial text, {self._what()}: {told}', logger='current')

    def _what(self) -> str:
        return f'drop={self.drop!r}' if self.keep is None else f'keep={self.keep!r}'

    def shorten(
        self, text: str, attributes: Mapping[str, object], sample: str, in_levels: bool = False
    ) -> tuple[str, str]:
        """Shorten one sentence.

        Args:
            text: the sentence.
            attributes: the other columns of its row.
            sample: what the choice of parts depends on, beside the seed.
            in_levels: the sentence is one of several levels; its commas part no fields.

        Returns:
            The new sentence and how it was made: ``'attributes'``, ``'fields'``, ``'words'`` or ``'whole'``.
        """
        said = self._said(text, attributes)
        if len(said) > 1 and not RELATIVE.search(text):
            kept = self._kept(list(said), sample)
            if kept:
                return self._sentence({name: said[name] for name in said if name in kept}), 'attributes'
        parts = [part for part in re.split(r'\s*[,;]\s+(?:and\s+)?', text.strip().rstrip('.')) if part]
        # A sentence made of attributes has commas too, which part nothing that stands alone.
        if len(parts) > 1 and not in_levels and not said:
            numbered = [f'field {i + 1}' for i in range(len(parts))]
            names = list(self.fields) if len(self.fields) == len(parts) else numbered
            kept = self._kept(names, sample)
            if kept:
                words = ', '.join(part for name, part in zip(names, parts, strict=True) if name in kept)
                return capital(words) + ('.' if text.rstrip().endswith('.') else ''), 'fields'
        short = text if self.words is None else self._fewer_words(self.words, text, sample)
        return (text, 'whole') if short == text else (short, 'words')

    def _fewer_words(self, words: AttributeWords, text: str, sample: str) -> str:
        if self.drop is not None:
            return words.leave_out(text, {self.drop})
        found = list(words.find(text))
        kept = self._kept(found, sample) if len(found) > 1 else set()
        return words.leave_out(text, set(found) - kept) if kept else text

    def _said(self, text: str, attributes: Mapping[str, object]) -> dict[str, str]:
        """Attribute -> its words, of those that the sentence says."""
        forms = {}
        for name in self.wording:
            value = attributes.get(name)
            if value is None or isinstance(value, bool):
                continue
            words = f'{value:g}' if isinstance(value, (int, float)) else str(value)
            forms[name] = dict.fromkeys((words, SPOKEN.get(words, words)))
        said: dict[str, str] = {}
        taken: list[tuple[int, int]] = []  # "left" of "the left lobe" is not also "the left part"
        for whole in (True, False):
            for name in [name for name in forms if name not in said]:
                for form in filter(None, forms[name]):
                    wanted = _article(self.wording[name].words.format(form)) if whole else form
                    # Not a part of a word or a number: neither 'I' of 'VI' nor '7.5' of '17.5'.
                    pattern = rf'(?<![\w.-]){re.escape(wanted)}(?![\w-]|\.\d)'
                    spans = [match.span() for match in re.finditer(pattern, text, re.IGNORECASE)]
                    free = [(a, b) for a, b in spans if all(b <= c or d <= a for c, d in taken)]
                    if free:
                        said[name] = form
                        taken += free
        return {name: said[name] for name in self.wording if name in said}

    def _kept(self, names: list[str], sample: str) -> set[str]:
        if self.drop is not None:
            return set(names) - {self.drop} if self.drop in names else set()
        if isinstance(self.keep, tuple):
            return set(self.keep) & set(names)
        digest = hashlib.sha256(f'{self.seed} {sample}'.encode()).digest()
        order = np.random.default_rng(int.from_bytes(digest[:8], 'big')).permutation(len(names))
        return {names[i] for i in order[: _part(self.keep, len(names))]}

    def _sentence(self, kept: dict[str, str]) -> str:
        roles: dict[str, list[str]] = dict(adjective=[], noun=[], place=[], detail=[])
        for name, words in kept.items():
            roles[self.wording[name].role].append(self.wording[name].words.format(words))
        details = [_article(phrase) for phrase in roles['detail']]
        told = details[0] if len(details) == 1 else ', '.join(details[:-1]) + ',' * (len(details) > 2)
        told = told if len(details) < 2 else f'{told} and {details[-1]}'
        words = ' '.join(
            [_article(' '.join(['a', *roles['adjective'], *(roles['noun'] or ['lesion'])])), *roles['place']]
        )
        return capital(words + (f'{"," * bool(roles["place"])} with {told}' if details else '')) + '.'


def _part(share: float, number: int) -> int:
    return max(1, math.floor(share * number + 0.5))


def _article(words: str) -> str:
    return re.sub(r'^a (?=[aeio])', 'an ', words)
