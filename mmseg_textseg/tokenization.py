"""Sentences to token ids: a pretrained vocabulary, or one built from the training text.

The data pipeline (``TokenizeText``) and the text encoder (``BertTextEncoder``) are given the same
*tokenizer source*:

- ``'bert-base-uncased'`` or a local folder: the vocabulary that belongs to those weights;
- ``dict(build_from='train.jsonl')``: WordPiece over the words of that annotation table, or of a list of them (further
  keys are those of :func:`mmseg_textseg.datasets.read_expressions`; a table with its own is ``dict(ann_file=...)``);
- ``dict(vocab=[...])`` or ``dict(vocab='...')``: exactly these entries, in this order; a string parts them by spaces.
"""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

TokenizerSource = str | dict
READER_OPTIONS = ('image_column', 'mask_column', 'text_column', 'prompt', 'sheet', 'allow_empty_text')
SPECIAL = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]')


class TokenizerError(ValueError):
    """A tokenizer source that cannot be used; the message names it and the mend."""


class TextTokenizer:
    """Ids of a sentence, special tokens included.

    Args:
        backend: a fast ``transformers`` tokenizer.
        fingerprint: names the vocabulary; equal fingerprints mean equal ids.
    """

    def __init__(self, backend, fingerprint: str):
        self.backend = backend
        self.fingerprint = fingerprint

    @property
    def vocab(self) -> list[str]:
        """Entries in the order of their ids."""
        table = self.backend.get_vocab()
        return sorted(table, key=table.get)

    def __len__(self) -> int:
        return len(self.backend)

    def encode(self, text: str, max_tokens: int) -> tuple[np.ndarray, int]:
        """Encode one sentence.

        Args:
            text: the sentence.
            max_tokens: longest result, special tokens included.

        Returns:
            ids int64 (T,), 2 <= T <= max_tokens, and the number of tokens before cutting.
        """
        body = self.backend.encode(text, add_special_tokens=False)
        kept = body[: max_tokens - 2]
        ids = [self.backend.cls_token_id, *kept, self.backend.sep_token_id]
        return np.asarray(ids, dtype=np.int64), len(body) + 2


def build_vocab(texts: Iterable[str], min_count: int = 1) -> list[str]:
    """WordPiece vocabulary of a small corpus, the same for the same sentences in any order.

    Whole words (lower-cased, split at punctuation, as BERT does), then every character alone and
    as a continuation, so that a word never seen becomes pieces rather than ``[UNK]``.

    Args:
        texts: training sentences.
        min_count: words rarer than this are left to the pieces.
    """
    # Digits one by one: a diameter that was never seen must not fall apart differently from one that was.
    words = Counter(word for text in texts for word in re.findall(r'[^\W\d_]+|\d|[^\w\s]|_', text.lower()))
    if not words:
        raise TokenizerError('no words to build a vocabulary from: the training sentences are empty')
    kept = sorted(word for word, count in words.items() if count >= min_count)
    characters = sorted({character for word in words for character in word} | set('0123456789'))
    entries = dict.fromkeys([*SPECIAL, *kept, *characters, *(f'##{c}' for c in characters)])
    return list(entries)


def _from_vocab(vocab: Sequence[str]) -> TextTokenizer:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    missing = [entry for entry in SPECIAL if entry not in vocab]
    if missing or len(set(vocab)) != len(vocab) or any(entry.split() != [entry] for entry in vocab):
        raise TokenizerError(
            f'tokenizer vocab needs the entries {", ".join(SPECIAL)}, none twice, empty or with a space; '
            f'missing: {missing or "none"}, given twice: {[w for w, n in Counter(vocab).items() if n > 1] or "none"}'
        )
    model = models.WordPiece({entry: i for i, entry in enumerate(vocab)}, unk_token='[UNK]')
    backend = Tokenizer(model)
    # strip_accents=False: build_vocab reads the same characters that are looked up here.
    backend.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Split(Regex(r'\d'), behavior='isolated')]
    )
    names = dict(pad_token='[PAD]', unk_token='[UNK]', cls_token='[CLS]', sep_token='[SEP]', mask_token='[MASK]')
    table = {entry: i for i, entry in enumerate(vocab)}
    return TextTokenizer(PreTrainedTokenizerFast(tokenizer_object=backend, **names), _digest(table))


def _digest(table: dict[str, int]) -> str:
    entries = '\n'.join(f'{index} {entry}' for entry, index in sorted(table.items()))
    return f'vocab:{hashlib.sha256(entries.encode()).hexdigest()[:16]}'


def _from_pretrained(name: str) -> TextTokenizer:
    from transformers import AutoTokenizer

    try:
        backend = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise TokenizerError(
            f"the vocabulary of text encoder '{name}' is neither a local folder nor to be had from the hub "
            f'({str(error).splitlines()[0]}). Give a folder with a BERT (config.json, tokenizer files, weights), '
            'or train the text encoder from scratch: docs/text_encoders.md'
        ) from error
    # transformers makes a tokenizer of special tokens alone where the files are missing: every word would be [UNK].
    if len(backend) <= len(set(backend.all_special_tokens)):
        raise TokenizerError(
            f"'{name}' holds no vocabulary: expected vocab.txt or tokenizer.json beside config.json; "
            'save the tokenizer there too'
        )
    # A folder is known by what it holds, so that it may move; a hub name by itself, which needs no look-up.
    return TextTokenizer(backend, _digest(backend.get_vocab()) if os.path.isdir(name) else f'pretrained:{name}')


def vocab_source(source: TokenizerSource) -> TokenizerSource:
    """A source with its vocabulary spelt out, so that it no longer needs the annotation tables."""
    if isinstance(source, str):
        return source
    # One string: a list of a thousand entries takes mmengine seconds to print, at each checkpoint again.
    return dict(vocab=' '.join(load_tokenizer(source).vocab))


def load_tokenizer(source: TokenizerSource) -> TextTokenizer:
    """Make the tokenizer of a source (see the head of this module); made once a process and source.

    Raises:
        TokenizerError: the vocabulary cannot be had, or the source is malformed.
    """
    if not isinstance(source, str):
        known = {'vocab', 'build_from'} & set(source)
        if len(known) != 1:
            raise TokenizerError(f"tokenizer needs exactly one of 'vocab' and 'build_from', got keys {sorted(source)}")
        options = () if 'vocab' in source else ('build_from', 'min_count', *READER_OPTIONS)
        unknown = sorted(set(source) - {*options, 'vocab'})
        if unknown:
            raise TokenizerError(
                f'tokenizer has no option {", ".join(unknown)}; known: {", ".join(options) or "vocab"}'
            )
    return _load(json.dumps(source, sort_keys=True, default=list))


@lru_cache(maxsize=16)
def _load(key: str) -> TextTokenizer:
    from .datasets.annotations import read_expressions

    source = json.loads(key)
    if isinstance(source, str):
        return _from_pretrained(source)
    if 'vocab' in source:
        vocab = source['vocab']
        return _from_vocab(vocab.split() if isinstance(vocab, str) else vocab)
    tables = source.pop('build_from')
    min_count = source.pop('min_count', 1)
    tables = [tables] if isinstance(tables, (str, dict)) else tables
    # A table with options of its own is a dict.
    tables = [{**source, **(dict(ann_file=table) if isinstance(table, str) else table)} for table in tables]
    return _from_vocab(build_vocab((text for table in tables for text in read_expressions(**table)), min_count))


def fingerprint(source: TokenizerSource) -> str:
    """Names the vocabulary of a source; a hub name stands for itself, so that the network is not asked."""
    on_hub = isinstance(source, str) and not os.path.isdir(source)
    return f'pretrained:{source}' if on_hub else load_tokenizer(source).fingerprint
