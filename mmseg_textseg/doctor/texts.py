"""Sentences: repeats, vocabulary, and what the tokeniser makes of them."""

import os
import re
from collections import Counter
from collections.abc import Iterator

import numpy as np

from ..apis.preflight import on_hub
from ..datasets.annotations import AnnotationError
from ..tokenization import TextTokenizer, TokenizerError, TokenizerSource, load_tokenizer
from .findings import Finding, plural
from .tables import Rows

# A sentence of so many images, and of such a share of a split's, says little about one.
COMMON_IMAGES, COMMON_SHARE = 20, 0.2
BATCH = 1000
TOKENIZER_FILES = ('tokenizer.json', 'vocab.txt')
WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


def words_of(text: str) -> list[str]:
    """Words in lower case."""
    return WORD.findall(text.lower())


def repeated_rows(rows: Rows) -> list[Finding]:
    """The same image, mask and sentence twice in a split; a sentence for two masks of an image."""
    if not len(rows):
        return []
    findings = []
    # Neither case nor blanks make another sentence.
    plain: dict[str, int] = {}
    sentence = np.array([plain.setdefault(' '.join(t.lower().split()), len(plain)) for t in rows.texts])[rows.text]
    key = np.stack([rows.split, rows.pair, sentence], axis=1)
    _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
    twice = np.flatnonzero(first[inverse.ravel()] != np.arange(len(key)))
    if len(twice):
        examples = [
            rows.example(e, f'repeats {rows.where(first[inverse.ravel()[e]])}: {_quoted(rows.texts[rows.text[e]])}')
            for e in twice
        ]
        message = f'{plural(len(twice), "sample")} with the image, mask and sentence of an earlier one'
        findings.append(Finding('duplicate-row', message, len(twice), examples))
    worded = np.flatnonzero([bool(rows.texts[t]) for t in rows.text])
    worded = worded[[rows.pair_mask[p] is not None for p in rows.pair[worded]]] if len(worded) else worded
    key = np.stack([rows.split, rows.image, sentence], axis=1)[worded]
    _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
    leader = worded[first[inverse.ravel()]] if len(worded) else worded
    torn = np.flatnonzero(rows.pair[worded] != rows.pair[leader])
    if len(torn):
        examples = [
            rows.example(
                worded[t],
                f'{_quoted(rows.texts[rows.text[worded[t]]])} means another mask of this image in '
                f'{rows.where(leader[t])}',
            )
            for t in torn
        ]
        message = f'{plural(len(torn), "sample")} whose sentence means another mask of the same image too'
        findings.append(Finding('ambiguous-text', message, len(torn), examples))
    return findings


def common_texts(rows: Rows, masks: np.ndarray) -> list[Finding]:
    """Sentences of very many images; where no image shows anything ("No tumor.") that is as it should be."""
    examples = []
    for number, split in enumerate(rows.splits):
        mine = np.flatnonzero(rows.split == number)
        pairs = np.unique(np.stack([rows.text[mine], rows.image[mine], mine], axis=1), axis=0)
        if not len(pairs):
            continue
        _, first = np.unique(pairs[:, :2], axis=0, return_index=True)
        text, counts = np.unique(pairs[first, 0], return_counts=True)
        total = len(np.unique(rows.image[mine]))
        many = (counts >= COMMON_IMAGES) & (counts > COMMON_SHARE * total)
        for t, count in sorted(zip(text[many], counts[many], strict=True), key=lambda item: -item[1]):
            entries = mine[rows.text[mine] == t]
            shown = masks[rows.pair[entries]]
            if not rows.texts[t] or (shown['read'].any() and not shown['share'].any()):
                continue
            detail = f'{_quoted(rows.texts[t])} for {count:,} of {total:,} images of {split.name}'
            examples.append(rows.example(entries[0], detail))
    if not examples:
        return []
    message = f'{plural(len(examples), "sentence")} for more than {100 * COMMON_SHARE:.0f} % of the images of a split'
    return [Finding('common-text', message, len(examples), examples)]


def text_statistics(rows: Rows) -> Finding | None:
    """Lengths and vocabulary of each split, and words that training has not seen."""
    lengths = np.array([len(words_of(text)) for text in rows.texts])
    lines, seen, total = [], None, 0
    for number, split in enumerate(rows.splits):
        mine = rows.text[rows.split == number]
        if not len(mine):
            continue
        total += len(mine)
        distinct = np.unique(mine)
        vocabulary = {word for t in distinct for word in words_of(rows.texts[t])}
        low, middle, high = np.percentile(lengths[mine], [0, 50, 100])
        line = (
            f'{split.name}: {plural(len(mine), "sentence")}, {len(distinct):,} of them distinct, {low:.0f} to '
            f'{high:.0f} words (median {middle:.0f}), {len(vocabulary):,} different words'
        )
        empty = int((lengths[mine] == 0).sum())
        line += f', {plural(empty, "sentence")} without a word' if empty else ''
        if split.role == 'train':
            seen = (seen or set()) | vocabulary
        elif seen is not None and vocabulary - seen:
            new = sorted(vocabulary - seen)
            line += f'; {plural(len(new), "word")} not in train: {", ".join(new[:8])}{", ..." * (len(new) > 8)}'
        lines.append(line)
    return Finding('texts', '\n'.join(lines), total) if lines else None


def tokenizer_findings(rows: Rows) -> Iterator[Finding]:
    """Sentences that are cut, and words that the vocabulary does not have; a note where that cannot be said."""
    groups: dict[tuple[str, int], list[int]] = {}
    sources = {}
    for number, split in enumerate(rows.splits):
        if split.tokenizer is None:
            continue
        key = (repr(split.tokenizer), split.max_tokens)
        sources[key] = split.tokenizer
        groups.setdefault(key, []).append(number)
    bare = [split.name for split in rows.splits if split.tokenizer is None]
    if bare:
        yield Finding('skipped', f'tokeniser of {", ".join(bare)}: no TokenizeText in a pipeline', len(bare))
    cut, unknown, missing = [], [], Counter()
    totals: Counter[str] = Counter()
    longest, limits = 0, set()
    for key, numbers in groups.items():
        try:
            tokenizer = _tokenizer(sources[key])
        except (TokenizerError, AnnotationError, OSError) as error:
            names = ', '.join(rows.splits[n].name for n in numbers)
            yield Finding('skipped', f'tokeniser of {names}: {error}', len(numbers))
            continue
        entries = np.flatnonzero(np.isin(rows.split, numbers))
        texts, first, counts = np.unique(rows.text[entries], return_index=True, return_counts=True)
        uses = dict(zip(texts.tolist(), zip(entries[first].tolist(), counts.tolist(), strict=True), strict=True))
        for text, length, lost, words in _tokenised(rows, tokenizer, texts.tolist(), key[1]):
            entry, count = uses[text]
            totals['samples'] += count
            totals['tokens'] += length * count
            times = f' ({plural(count, "sample")})' if count > 1 else ''
            if lost:
                limits.add(key[1])
                longest = max(longest, length + 2)
                totals['cut'] += count
                detail = f'{length + 2} tokens, max_tokens={key[1]}; lost: {_quoted(lost, 0)}{times}'
                cut.append((-length, rows.example(entry, detail)))
            if words:
                totals['unknown'] += len(words) * count
                totals['with unknown'] += count
                missing.update(dict.fromkeys(words, count))
                told = ', '.join(map(repr, dict.fromkeys(words)))
                unknown.append(rows.example(entry, f'{told} in {_quoted(rows.texts[text])}{times}'))
    if cut:
        limit = ', '.join(map(str, sorted(limits)))
        message = (
            f'{totals["cut"]:,} of {plural(totals["samples"], "sentence")} are cut by max_tokens={limit}; the longest '
            f'needs {longest}'
        )
        yield Finding('truncated-text', message, totals['cut'], [e for _, e in sorted(cut, key=lambda item: item[0])])
    if unknown:
        share = 100 * totals['unknown'] / totals['tokens']
        common = ', '.join(f'{word!r} ({count:,})' for word, count in missing.most_common(8))
        message = (
            f'{plural(len(missing), "word")} unknown to the vocabulary, in {totals["with unknown"]:,} of '
            f'{plural(totals["samples"], "sentence")} ({share:.2g} % of the tokens are [UNK]): {common}'
        )
        yield Finding('unknown-words', message, len(missing), unknown)


def _tokenizer(source: TokenizerSource) -> TextTokenizer:
    """:func:`load_tokenizer`, without the minutes that transformers tries to reach a hub that is not there."""
    if isinstance(source, str) and not os.path.isdir(source) and not on_hub(source, TOKENIZER_FILES):
        raise TokenizerError(f'{source!r} is no local folder, not in the cache, and the hub is out of reach')
    return load_tokenizer(source)


def _tokenised(
    rows: Rows, tokenizer: TextTokenizer, texts: list[int], max_tokens: int
) -> Iterator[tuple[int, int, str, list[str]]]:
    """Text, its tokens without the special two, the end that is cut off, words that became [UNK]."""
    backend = tokenizer.backend
    for start in range(0, len(texts), BATCH):
        numbers = texts[start : start + BATCH]
        sentences = [rows.texts[number] for number in numbers]
        coded = backend(sentences, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        for number, text, ids, spans in zip(
            numbers, sentences, coded['input_ids'], coded['offset_mapping'], strict=True
        ):
            lost = text[spans[max_tokens - 2][0] :] if len(ids) > max_tokens - 2 else ''
            words = [text[a:b] for i, (a, b) in zip(ids, spans, strict=True) if i == backend.unk_token_id]
            yield number, len(ids), lost, words


def _quoted(text: str, limit: int = 100) -> str:
    return f'"{text}"' if not limit or len(text) <= limit else f'"{text[:limit]}..."'
