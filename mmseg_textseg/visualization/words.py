"""Tokens of a sentence as a person reads them: which words they are, which are unknown, which were cut."""

from collections.abc import Sequence
from typing import NamedTuple

from ..tokenization import TextTokenizer


class Token(NamedTuple):
    """One token.

    Attributes:
        piece: entry of the vocabulary, as ``'##ion'`` or ``'[UNK]'``.
        source: the characters of the sentence that it stands for; of a special token, the piece.
        kind: ``'word'``, ``'unknown'``, ``'special'``, or ``'cut'``: left out, as the sentence was too long.
    """

    piece: str
    source: str
    kind: str

    @property
    def shown(self) -> str:
        """The piece; where it is not in the vocabulary, what it stands for too."""
        return f'{self.piece} {self.source}' if self.kind == 'unknown' and self.source != self.piece else self.piece


class Word(NamedTuple):
    """Tokens that are one word: ``label`` as the sentence spells it, the places of its tokens, special or not."""

    label: str
    places: tuple[int, ...]
    special: bool


def read_tokens(tokenizer: TextTokenizer, ids: Sequence[int], text: str) -> list[Token]:
    """Tokens of a sentence in the order of the model's input, then those that were cut.

    Args:
        tokenizer: that made the ids.
        ids: token ids, special ones included.
        text: the sentence. If its tokens are others than ``ids``, the pieces stand for themselves.
    """
    backend = tokenizer.backend
    ids = [int(i) for i in ids]
    special = set(backend.all_special_ids) - {backend.unk_token_id}
    full = backend(text, add_special_tokens=False, return_offsets_mapping=True)
    body, spans = list(full['input_ids']), list(full['offset_mapping'])
    kept = [i for i in ids if i not in special]
    known = body[: len(kept)] == kept
    sources = iter([text[a:b] for a, b in spans[: len(kept)]] if known else backend.convert_ids_to_tokens(kept))
    tokens = []
    for i, piece in zip(ids, backend.convert_ids_to_tokens(ids), strict=True):
        if i in special:
            tokens.append(Token(piece, piece, 'special'))
        else:
            tokens.append(Token(piece, next(sources), 'unknown' if i == backend.unk_token_id else 'word'))
    rest = range(len(kept), len(body)) if known else ()
    cut = backend.convert_ids_to_tokens([body[i] for i in rest])
    return tokens + [Token(piece, text[slice(*spans[i])], 'cut') for i, piece in zip(rest, cut, strict=True)]


def group_words(tokens: Sequence[Token]) -> list[Word]:
    """Tokens in the model's input as words: pieces joined, and digits of one number; special tokens last."""
    words: list[Word] = []
    for place, token in enumerate(tokens):
        if token.kind == 'cut':
            break
        before = tokens[place - 1] if place else None
        number = before is not None and before.source.isdigit() and token.source.isdigit()
        if words and not words[-1].special and (token.piece.startswith('##') or number):
            last = words.pop()
            words.append(Word(last.label + token.source.removeprefix('##'), (*last.places, place), False))
        else:
            words.append(Word(token.source, (place,), token.kind == 'special'))
    return sorted(words, key=lambda word: word.special)
