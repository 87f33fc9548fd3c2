"""PickText."""

import numpy as np
import pytest

from mmseg_textseg.datasets import PickText

TEXTS = ['one', 'two', 'three']


def test_first():
    results = PickText('first')(dict(texts=TEXTS))
    assert results == dict(texts=TEXTS, text='one')


def test_random_reaches_every_text_and_follows_the_seed():
    transform = PickText()

    def draw():
        np.random.seed(3)  # noqa: NPY002 (the generator that MMEngine seeds)
        return [transform(dict(texts=TEXTS))['text'] for _ in range(40)]

    drawn = draw()
    assert set(drawn) == set(TEXTS)
    assert draw() == drawn


@pytest.mark.parametrize('mode', ['random', 'first'])
def test_a_text_that_is_there_stays(mode):
    assert PickText(mode)(dict(text='mine', texts=TEXTS))['text'] == 'mine'
    assert PickText(mode)(dict(text='')) == dict(text='')


@pytest.mark.parametrize('results', [{}, dict(texts=[]), dict(texts='one'), dict(texts=None)])
def test_without_texts(results):
    with pytest.raises(ValueError, match=r'i\.png.*expected a list of expressions'):
        PickText()(dict(img_path='i.png', **results))


def test_bad_mode():
    with pytest.raises(ValueError, match="'random' or 'first'"):
        PickText('last')
