"""tokenizer.json against TokenizeText."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from mmseg_textseg.export.tokenizer import write_tokenizer
from mmseg_textseg.tokenization import SPECIAL, load_tokenizer

WORDS = ['the', 'dark', 'bright', 'square', 'left', 'right', 'of', 'it']


@pytest.fixture(scope='module', params=['built', 'pretrained', 'pretrained, with settings of its own'])
def both(request, tmp_path_factory):
    """TextTokenizer and what is read back, 9 tokens long at most."""
    folder = tmp_path_factory.mktemp('tokenizer')
    source = dict(vocab=[*SPECIAL, *WORDS, *'abcdefghij0123456789.', *(f'##{c}' for c in 'abcdefghij')])
    if request.param != 'built':
        from transformers import BertTokenizerFast

        vocab = ['[PAD]', '[UNK]', '[MASK]', '[SEP]', '[CLS]', *source['vocab'][5:]]  # in another order
        (folder / 'vocab.txt').write_text('\n'.join(vocab))
        theirs = BertTokenizerFast(str(folder / 'vocab.txt'))
        theirs.save_pretrained(folder)
        if 'settings' in request.param:
            made = json.loads((folder / 'tokenizer.json').read_text())
            made['truncation'] = dict(direction='Left', max_length=4, strategy='LongestFirst', stride=0)
            made['padding'] = dict(
                strategy=dict(Fixed=30),
                direction='Left',
                pad_to_multiple_of=None,
                pad_id=1,
                pad_type_id=0,
                pad_token='x',
            )
            (folder / 'tokenizer.json').write_text(json.dumps(made))
        source = str(folder)
    tokenizer = load_tokenizer(source)
    special_tokens = lambda: json.loads(tokenizer.backend.backend_tokenizer.to_str())['post_processor']  # noqa: E731
    before = special_tokens()
    about = write_tokenizer(tokenizer, 9, folder / 'written.json', ['the dark square'])
    assert special_tokens() == before, "the model's own is not changed"
    return tokenizer, Tokenizer.from_file(str(folder / 'written.json')), about


@settings(max_examples=100, deadline=None)
@given(words=st.lists(st.one_of(st.sampled_from([*WORDS, *SPECIAL]), st.text(max_size=6)), max_size=12))
def test_ids_are_those_of_training(both, words):
    tokenizer, written, _ = both
    sentence = ' '.join(words)
    assert written.encode(sentence).ids == tokenizer.encode(sentence, 9)[0].tolist()


def test_batches_are_padded_to_the_longest(both):
    tokenizer, written, about = both
    sentences = ['the dark square', 'left', ' '.join(['bright'] * 20)]
    encoded = written.encode_batch(sentences)
    for one, sentence in zip(encoded, sentences, strict=True):
        expected = tokenizer.encode(sentence, 9)[0].tolist()
        assert one.ids == expected + [tokenizer.backend.pad_token_id] * (9 - len(expected))
        assert one.attention_mask == [1] * len(expected) + [0] * (9 - len(expected))
    assert len(written.encode_batch(sentences[:2])[1].ids) == 5
    assert about['special_tokens']['cls'] == dict(token='[CLS]', id=encoded[0].ids[0])
    assert about['vocabulary'] == len(tokenizer)
    assert about['fingerprint'] == tokenizer.fingerprint
