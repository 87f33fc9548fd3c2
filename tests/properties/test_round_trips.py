"""What is packed, tokenised or named can be told apart afterwards, and comes back."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from steady import STEADY

from mmseg_textseg.datasets.packed_list import BLOCK, PackedList
from mmseg_textseg.datasets.sample_names import LONGEST, SampleNames
from mmseg_textseg.models.text_encoding import sentence_keys
from mmseg_textseg.tokenization import SPECIAL, TokenizerError, build_vocab, load_tokenizer

VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ITEM = st.dictionaries(st.text(max_size=8), VALUE, max_size=4)


@STEADY
@given(few=st.lists(ITEM, max_size=5), times=st.sampled_from([1, 1, BLOCK // 2, BLOCK]), data=st.data())
def test_a_packed_list_is_the_list(few, times, data):
    items = few * times
    packed = PackedList(items)
    assert list(packed) == items == packed
    assert repr(list(packed)) == repr(items)  # True is no 1, and a tuple no list
    if items:
        place = data.draw(st.integers(-len(items), len(items) - 1))
        assert packed[place] == items[place]
    part = data.draw(st.slices(len(items)))
    assert packed[part] == items[part]


# Letters whose lower case is one letter, so that the sentence can be put together again and compared.
LETTERS = st.characters(categories=['Ll', 'Lo', 'Lu', 'Nd', 'Po', 'Ps', 'Pe', 'Sm']).filter(
    lambda c: len(c.lower()) == 1 and c.lower() == c.lower().lower()
)
SENTENCE = st.lists(st.text(LETTERS, min_size=1, max_size=7), min_size=1, max_size=6).map(' '.join)


@STEADY
@given(texts=st.lists(SENTENCE, min_size=1, max_size=5))
def test_every_sentence_of_the_vocabulary_can_be_read_back(texts):
    tokenizer = load_tokenizer(dict(vocab=build_vocab(texts)))
    vocab = tokenizer.vocab
    assert tuple(vocab[:5]) == SPECIAL
    for text in texts:
        ids, full = tokenizer.encode(text, 10_000)
        first, *pieces, last = [vocab[i] for i in ids]
        assert (first, last, full) == ('[CLS]', '[SEP]', len(ids))
        assert '[UNK]' not in pieces
        assert ''.join(piece.removeprefix('##') if piece != '##' else piece for piece in pieces) == re.sub(
            r'\s', '', text.lower()
        )


@STEADY
@given(text=SENTENCE, limit=st.integers(3, 12))
def test_a_cut_sentence_is_the_beginning_of_the_whole(text, limit):
    tokenizer = load_tokenizer(dict(vocab=build_vocab([text])))
    whole, full = tokenizer.encode(text, 10_000)
    ids, told = tokenizer.encode(text, limit)
    assert told == full == len(whole)
    assert len(ids) == min(limit, full)
    assert ids.tolist() == [*whole[: len(ids) - 1], whole[-1]]


ANY_TEXT = st.text(st.characters(exclude_categories=['Cs']), max_size=30)


@STEADY
@given(known=st.lists(ANY_TEXT, min_size=1, max_size=3), text=ANY_TEXT)
def test_any_text_has_ids_of_the_vocabulary(known, text):
    if not any(re.search(r'\S', one) for one in known):
        with pytest.raises(TokenizerError, match='no words'):
            build_vocab(known)
        return
    tokenizer = load_tokenizer(dict(vocab=build_vocab(known)))
    ids, full = tokenizer.encode(text, 12)
    assert 2 <= len(ids) == min(full, 12)
    assert ids.dtype == np.int64
    assert ((ids >= 0) & (ids < len(tokenizer))).all()


IDS = st.lists(st.lists(st.integers(0, 30_000), min_size=1, max_size=6), min_size=1, max_size=4)


@STEADY
@given(rows=IDS, more=st.integers(0, 3), fill=st.integers(0, 5))
def test_padding_does_not_tell_sentences_apart_and_ids_do(rows, more, fill):
    longest = max(map(len, rows)) + more
    ids, mask = torch.full((len(rows), longest), fill), torch.zeros(len(rows), longest, dtype=torch.bool)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)], mask[row, : len(tokens)] = torch.tensor(tokens), True
    keys = sentence_keys(ids, mask)
    assert keys == [sentence_keys(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.bool))[0] for row in rows]
    assert len(set(keys)) == len(set(map(tuple, rows)))


NAME = st.text(st.characters(exclude_characters='/\x00', exclude_categories=['Cs']), min_size=1, max_size=60)
STEM = NAME | NAME.map(lambda name: name * 5) | st.sampled_from(['a', 'a~2', 'a-b', 'b'])
FILE = st.tuples(st.sampled_from(['x', 'y/z']), STEM, st.sampled_from(['.png', '.nii.gz', '.dcm', ''])).map(
    lambda parts: f'{parts[0]}/{parts[1]}{parts[2]}'
)
SLICE = st.none() | st.integers(-3, 500).map(str) | st.text(max_size=20) | st.sampled_from(['../../up', '/etc', '\x00'])


@STEADY
@given(pairs=st.lists(st.tuples(FILE, st.none() | FILE, SLICE), unique=True, max_size=8))
def test_names_of_samples_are_apart_the_same_again_and_names_of_files(pairs):
    names = SampleNames()
    given = [names.of(*pair) for pair in pairs]
    assert len(set(given)) == len(pairs)
    assert [names.of(*pair) for pair in pairs] == given
    again = SampleNames()
    assert [again.of(*pair) for pair in pairs] == given
    for name in given:
        assert not set('/\x00') & set(name)
        assert len(f'{name}-0.png'.encode()) < 255


def test_a_name_is_shortened_only_where_it_must_be():
    names = SampleNames()
    assert names.of(f'{"i" * LONGEST}.png', None) == 'i' * LONGEST
    shortened = names.of(f'{"i" * (LONGEST + 1)}.png', None)
    assert re.fullmatch(rf'i{{{LONGEST - 13}}}-[0-9a-f]{{12}}', shortened)
    assert names.of('v.nii.gz', None, '../../3') == 'v-.._.._3'
    assert math.isclose(len(names.of('ä' * 200 + '.png', None).encode()), LONGEST, abs_tol=1), 'in bytes'
