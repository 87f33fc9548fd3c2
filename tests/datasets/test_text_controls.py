"""shuffle_texts: a permutation that leaves no sentence at its image."""

import pytest

from mmseg_textseg.datasets import shuffle_texts


def make_items(counts, key='text'):
    return [
        {'img_path': f'{image}.png', key: f'sentence {image}.{i}'} for image, n in enumerate(counts) for i in range(n)
    ]


@pytest.mark.parametrize('counts', [[1, 1], [2, 2], [3, 1, 1, 1], [1, 5, 2, 4], [7] * 30, [10, 1, 9]])
@pytest.mark.parametrize('seed', range(5))
def test_no_item_keeps_a_sentence_of_its_image(counts, seed):
    items = make_items(counts)
    shuffled = shuffle_texts(items, seed)
    assert sorted(item['text'] for item in shuffled) == sorted(item['text'] for item in items)
    for before, after in zip(items, shuffled, strict=True):
        assert before['img_path'] == after['img_path']
        assert after['text'].split()[1].split('.')[0] != after['img_path'].removesuffix('.png')


def test_is_repeatable_and_depends_on_the_seed():
    items = make_items([1] * 20)
    assert shuffle_texts(items, 3) == shuffle_texts(items, 3)
    assert shuffle_texts(items, 3) != shuffle_texts(items, 4)
    assert items == make_items([1] * 20)


def test_moves_lists_of_sentences():
    items = [dict(img_path='a', texts=['x', 'y']), dict(img_path='b', texts=['z'])]
    assert [item['texts'] for item in shuffle_texts(items)] == [['z'], ['x', 'y']]


def test_names_the_image_that_has_too_many():
    with pytest.raises(ValueError, match='one has 3 of 4 items'):
        shuffle_texts(make_items([3, 1]))
