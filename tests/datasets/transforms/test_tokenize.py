"""TokenizeText: keys, cutting, and bad input."""

import numpy as np
import pytest

from mmseg_textseg.datasets import TokenizeText
from mmseg_textseg.tokenization import SPECIAL, fingerprint

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
