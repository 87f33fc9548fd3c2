"""TokenizeText: keys, cutting, and bad input."""

import pickle

import numpy as np
import pytest
from torch.utils.data import DataLoader

from mmseg_textseg.datasets import TokenizeText
from mmseg_textseg.tokenization import SPECIAL, TextTokenizer, fingerprint

SOURCE = dict(vocab=[*SPECIAL, 'the', 'left', 'lesion'])


def test_adds_ids_mask_and_the_name_of_the_vocabulary():
    results = TokenizeText(SOURCE)(dict(text='The left lesion'))
    assert results['text_ids'].tolist() == [2, 5, 6, 7, 3]
    assert results['text_ids'].dtype == np.int64
    assert results['text_mask'].tolist() == [True] * 5
    assert results['tokenizer'] == fingerprint(SOURCE)


def test_cuts_before_the_closing_token_and_says_so_once(monkeypatch):
    import mmseg_textseg.datasets.transforms.tokenize as module

    said = []
    monkeypatch.setattr(module, 'print_log', lambda text, **_: said.append(text))
    cut = TokenizeText(SOURCE, max_tokens=4)
    for _ in range(3):
        assert cut(dict(text='the left lesion'))['text_ids'].tolist() == [2, 5, 6, 3]
    assert len(said) == 1
    assert 'the first one met has 5' in said[0]


@pytest.mark.parametrize('results', [dict(), dict(text=None), dict(text=['a', 'b'])])
def test_needs_one_sentence_and_names_the_picture(results):
    with pytest.raises(KeyError, match=r'slice\.png'):
        TokenizeText(SOURCE)(dict(results, img_path='slice.png'))


def test_two_tokens_are_never_enough():
    with pytest.raises(ValueError, match='at least 3'):
        TokenizeText(SOURCE, max_tokens=2)


def test_repr_does_not_print_the_vocabulary():
    assert repr(TokenizeText(SOURCE)) == 'TokenizeText(tokenizer={vocab}, max_tokens=20)'


def test_a_sentence_is_encoded_once(monkeypatch):
    encode, asked = TextTokenizer.encode, []
    monkeypatch.setattr(TextTokenizer, 'encode', lambda self, *args: asked.append(args[0]) or encode(self, *args))
    transform = TokenizeText(SOURCE)
    for text in ('the lesion', 'left', 'the lesion', 'The lesion', 'left'):
        results = transform(dict(text=text))
        assert results['text_ids'].tolist() == TokenizeText(SOURCE)(dict(text=text))['text_ids'].tolist()
        results['text_ids'][:] = 0  # a later transform may
        results['text_mask'][:] = False
    assert len(asked) == 3 + 5
    assert transform(dict(text='left'))['text_ids'].tolist() == [2, 6, 3]
    assert transform(dict(text='left'))['text_mask'].all()


def test_so_many_sentences_are_remembered(monkeypatch):
    monkeypatch.setattr('mmseg_textseg.datasets.transforms.tokenize.REMEMBERED', 2)
    transform = TokenizeText(SOURCE)
    for text in ('the', 'left', 'lesion', 'the left'):
        ids = transform(dict(text=text))['text_ids'].tolist()
        assert ids == TokenizeText(SOURCE)(dict(text=text))['text_ids'].tolist()
    assert list(transform._known) == ['the', 'left']


def test_copies_begin_without_and_go_on():
    transform = TokenizeText(SOURCE, max_tokens=4)
    plain = len(pickle.dumps(transform))
    transform(dict(text='the left'))
    copy = pickle.loads(pickle.dumps(transform))
    assert len(pickle.dumps(transform)) == plain
    assert copy(dict(text='the left'))['text_ids'].tolist() == [2, 5, 6, 3]


class Sentences:
    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.transform(dict(text=('the', 'left', 'lesion', 'the left')[index]))['text_ids'].tolist()


@pytest.mark.filterwarnings('ignore:This DataLoader')
def test_in_worker_processes_after_use_in_this_one():
    data = Sentences(TokenizeText(SOURCE))
    here = [data[i] for i in range(4)]
    loader = DataLoader(data, 1, num_workers=1, collate_fn=list, multiprocessing_context='fork', timeout=60)
    assert [item for batch in loader for item in batch] == here
