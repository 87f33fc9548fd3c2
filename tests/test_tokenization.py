import json
import random

import numpy as np
import pytest

from mmseg_textseg.tokenization import (
    SPECIAL,
    TokenizerError,
    build_vocab,
    fingerprint,
    load_tokenizer,
    vocab_source,
)

TEXTS = ['A round lesion, 23 mm, in the left lobe.', 'The LARGEST lesion of the right lobe', 'cyst: no enhancement']


def tokenizer(texts=TEXTS, **kwargs):
    return load_tokenizer(dict(vocab=build_vocab(texts, **kwargs)))


def words(text, limit=50, **kwargs):
    made = tokenizer(**kwargs)
    return [made.vocab[i] for i in made.encode(text, limit)[0]]


def test_vocabulary_does_not_depend_on_the_order_of_texts():
    expected = build_vocab(TEXTS)
    for seed in range(5):
        shuffled = random.Random(seed).sample(TEXTS, len(TEXTS))
        assert build_vocab(iter(shuffled)) == expected
    assert build_vocab(TEXTS * 3) == expected
    assert tuple(expected[:5]) == SPECIAL
    assert len(set(expected)) == len(expected)
    assert fingerprint(dict(vocab=expected)) == fingerprint(dict(vocab=build_vocab(TEXTS[::-1])))


def test_other_texts_give_another_fingerprint():
    assert fingerprint(dict(vocab=build_vocab(TEXTS))) != fingerprint(dict(vocab=build_vocab(TEXTS[:2])))


def test_known_words_stay_whole_and_lower_case():
    assert words('The Largest LESION') == ['[CLS]', 'the', 'largest', 'lesion', '[SEP]']
    assert words('round lesion,cyst:') == ['[CLS]', 'round', 'lesion', ',', 'cyst', ':', '[SEP]']


def test_an_unseen_word_becomes_pieces():
    pieces = words('colon')[1:-1]
    assert pieces == ['c', '##o', '##l', '##o', '##n']
    assert '[UNK]' not in words('smallest lesions, mottled')


def test_a_character_never_seen_is_unknown():
    assert words('жар left') == ['[CLS]', '[UNK]', 'left', '[SEP]']


def test_digits_stand_alone():
    assert words('23 mm')[1:-1] == ['2', '3', 'mm']
    assert words('1045mm')[1:5] == ['1', '0', '4', '5']
    assert words('3.7')[1:-1] == ['3', '[UNK]', '7'] or words('3.7')[1:-1] == ['3', '.', '7']
    assert words('987')[1:-1] == ['9', '8', '7']  # none of them in the texts


def test_letters_after_a_digit_are_the_word_of_the_texts():
    assert words('23mm') == words('23 mm')


def test_accents_and_case_are_looked_up_as_they_are_built():
    assert words('Höhle', texts=['eine HÖHLE']) == ['[CLS]', 'höhle', '[SEP]']


def test_min_count_leaves_rare_words_to_pieces():
    assert words('lesion cyst', min_count=2)[1:3] == ['lesion', 'c']
    assert '[UNK]' not in words('lesion cyst enhancement', min_count=2)


@pytest.mark.parametrize('limit', [3, 4, 6, 7, 20])
def test_truncation_keeps_both_special_tokens(limit):
    made = tokenizer()
    whole = ['[CLS]', 'the', 'largest', 'lesion', 'of', 'the', 'right', 'lobe', '[SEP]']
    ids, full = made.encode(TEXTS[1], limit)
    assert full == len(whole) == 9
    assert [made.vocab[i] for i in ids] == (whole if limit >= 9 else [*whole[: limit - 1], '[SEP]'])
    assert ids.dtype == np.int64


def test_an_empty_sentence_is_the_two_special_tokens():
    ids, full = tokenizer().encode('  ', 20)
    assert ids.tolist() == [SPECIAL.index('[CLS]'), SPECIAL.index('[SEP]')]
    assert full == 2


def test_special_ids_are_the_first_five():
    made = tokenizer()
    assert made.backend.pad_token_id == 0
    assert (made.backend.cls_token_id, made.backend.sep_token_id) == (2, 3)
    assert len(made) == len(made.vocab) == len(build_vocab(TEXTS))


def test_a_sentence_cannot_smuggle_special_tokens():
    """A '[SEP]' written in a report is text, or at most one token: never more than the count that is returned."""
    ids, full = tokenizer().encode('left [SEP] right', 50)
    assert len(ids) == full
    assert ids[0] == 2
    assert ids[-1] == 3


def test_build_from_tables(tmp_path):
    paths = []
    for i, part in enumerate((TEXTS[:1], TEXTS[1:])):
        paths.append(str(tmp_path / f'{i}.jsonl'))
        rows = [json.dumps(dict(image=f'{j}.png', text=text)) for j, text in enumerate(part)]
        (tmp_path / f'{i}.jsonl').write_text('\n'.join(rows))
    both = dict(build_from=paths)
    assert load_tokenizer(both).vocab == build_vocab(TEXTS)
    assert fingerprint(both) == fingerprint(dict(vocab=build_vocab(TEXTS)))
    assert load_tokenizer(dict(build_from=paths[0])).vocab == build_vocab(TEXTS[:1])
    assert load_tokenizer({**both, 'min_count': 2}).vocab == build_vocab(TEXTS, 2)


def test_vocab_source_no_longer_needs_the_tables(tmp_path):
    path = tmp_path / 'train.jsonl'
    path.write_text(json.dumps(dict(image='a.png', text=TEXTS[0])))
    spelt = vocab_source(dict(build_from=str(path)))
    path.unlink()
    assert spelt == dict(vocab=' '.join(build_vocab(TEXTS[:1])))
    assert load_tokenizer(spelt).vocab == build_vocab(TEXTS[:1])
    assert vocab_source(spelt) == spelt
    assert vocab_source(dict(vocab=build_vocab(TEXTS[:1]))) == spelt, 'a list is the same vocabulary'
    assert vocab_source('bert-base-uncased') == 'bert-base-uncased'


BAD = [
    (dict(vocab=['left', 'right']), 'missing:'),
    (dict(vocab=[*SPECIAL, 'left', 'left']), "given twice: .'left'"),
    (dict(words=['left']), "exactly one of 'vocab' and 'build_from'"),
    (dict(vocab=list(SPECIAL), build_from='a.jsonl'), 'exactly one'),
    ('/no/such/folder', '/no/such/folder'),
]


@pytest.mark.parametrize(('source', 'message'), BAD, ids=['no special', 'twice', 'no key', 'two keys', 'no folder'])
def test_bad_sources(source, message):
    with pytest.raises(TokenizerError, match=message):
        load_tokenizer(source)


@pytest.mark.parametrize('texts', [[], [''], ['  ']])
def test_no_words(texts):
    with pytest.raises(TokenizerError, match='no words'):
        build_vocab(texts)


def test_fingerprint_of_a_name_reads_no_files():
    assert fingerprint('no/such-model') == 'pretrained:no/such-model'


@pytest.mark.parametrize('entry', ['a b', '', ' ', 'a\n'])
def test_an_entry_with_a_space_is_refused(entry):
    with pytest.raises(TokenizerError, match='space'):
        load_tokenizer(dict(vocab=['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', entry, 'c']))
