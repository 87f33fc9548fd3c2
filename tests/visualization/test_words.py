"""Tokens as words: unknown and cut ones, pieces and numbers joined, special ones last."""

import pytest

from mmseg_textseg.tokenization import build_vocab, load_tokenizer
from mmseg_textseg.visualization import Token, group_words, read_tokens

TOKENIZER = load_tokenizer(dict(vocab=build_vocab(['the largest lesion in the left lobe of 1 mm.'])))


def tokens_of(text: str, most: int = 20) -> list[Token]:
    ids, _ = TOKENIZER.encode(text, most)
    return read_tokens(TOKENIZER, ids, text)


def test_tokens_stand_in_the_models_order_with_what_they_stand_for():
    tokens = tokens_of('The LESION is 27')
    assert [t.piece for t in tokens] == ['[CLS]', 'the', 'lesion', 'i', '##s', '2', '7', '[SEP]']
    assert [t.source for t in tokens] == ['[CLS]', 'The', 'LESION', 'i', 's', '2', '7', '[SEP]']
    assert [t.kind for t in tokens] == ['special', *['word'] * 6, 'special']


def test_unknown_words_keep_their_letters():
    tokens = tokens_of('the 病灶 lesion')
    assert [(t.piece, t.source, t.kind) for t in tokens[2:4]] == [
        ('[UNK]', '病', 'unknown'),
        ('[UNK]', '灶', 'unknown'),
    ]
    assert tokens[2].shown == '[UNK] 病'
    assert tokens[1].shown == 'the'


def test_cut_words_follow_the_rest():
    tokens = tokens_of('the largest lesion in the left lobe', 6)
    assert [t.source for t in tokens if t.kind != 'cut'] == ['[CLS]', 'the', 'largest', 'lesion', 'in', '[SEP]']
    assert [t.source for t in tokens if t.kind == 'cut'] == ['the', 'left', 'lobe']
    assert [t.kind for t in tokens[-3:]] == ['cut'] * 3
    assert [word.label for word in group_words(tokens)] == ['the', 'largest', 'lesion', 'in', '[CLS]', '[SEP]']


def test_ids_of_another_sentence_stand_for_themselves():
    ids, _ = TOKENIZER.encode('the left lobe', 20)
    tokens = read_tokens(TOKENIZER, ids, 'the largest lesion')
    assert [t.source for t in tokens] == ['[CLS]', 'the', 'left', 'lobe', '[SEP]']
    assert not any(t.kind == 'cut' for t in tokens)


def test_words_join_pieces_and_digits_and_put_special_tokens_last():
    words = group_words(tokens_of('The lobes, 27 mm.'))
    assert [word.label for word in words] == ['The', 'lobes', ',', '27', 'mm', '.', '[CLS]', '[SEP]']
    tokens = tokens_of('The lobes, 27 mm.')
    assert [word.special for word in words] == [False] * 6 + [True] * 2
    places = [place for word in words for place in word.places]
    assert sorted(places) == list(range(len(tokens))), 'every token is in one word'
    for word in words[:6]:
        assert ''.join(tokens[i].source for i in word.places) == word.label


@pytest.mark.parametrize('text', ['', '...', '😀', '12 34'])
def test_odd_sentences(text):
    tokens = tokens_of(text)
    assert tokens[0].piece == '[CLS]'
    words = group_words(tokens)
    assert [word.special for word in words].count(True) == 2
