"""Controls of the text: a permutation that leaves no sentence at its image, one sentence for all, changed ones."""

import json

import pytest

from mmseg_textseg.datasets import MedVLSMDataset, TextSegDataset, shuffle_texts
from mmseg_textseg.datasets.text_controls import make_text_change, same_text


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


def test_one_sentence_for_all():
    items = [dict(img_path=f'{i}', text=text) for i, text in enumerate(['b', 'c', 'a', 'c', 'b'])]
    same = same_text(items)
    assert [item['text'] for item in same] == ['b'] * 5, 'of the most frequent ones the first by letter'
    assert [item['img_path'] for item in same] == list('01234')
    assert items[1]['text'] == 'c'
    grouped = [
        dict(img_path='0', texts=['x', 'y']),
        dict(img_path='1', texts=['y', 'z']),
        dict(img_path='2', texts=['y']),
    ]
    assert [item['texts'] for item in same_text(grouped)] == [['y']] * 3
    assert list(same_text([])) == []


def test_unknown_changes_are_named():
    with pytest.raises(ValueError, match="change_text names 'upside'; known: empty, contradict, paraphrase"):
        make_text_change('upside')
    with pytest.raises(ValueError, match='names None'):
        make_text_change({})


TEXTS = ['The large lesion in the left lobe.', 'The lesion.', 'The lesion.']


@pytest.fixture
def dataset(tmp_path):
    """Function options -> TextSegDataset of three images."""
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
        for name in 'abc':
            (tmp_path / folder / f'{name}.png').touch()
    rows = [dict(image=name, expression=text) for name, text in zip('abc', TEXTS, strict=True)]
    (tmp_path / 't.json').write_text(json.dumps(rows))
    levels = dict(p0='', p6=['A small tumor at the top.', 'Another at the bottom.'])
    rows = [dict(img_name=f'{name}.png', mask_name=f'{name}.png', prompts=levels) for name in 'abc']
    (tmp_path / 'levels.json').write_text(json.dumps(rows))
    prefix = dict(img_path='images', seg_map_path='masks')

    def make(kind=TextSegDataset, table='t.json', **options):
        return kind(table, data_root=str(tmp_path), data_prefix=prefix, pipeline=[], **options)

    return make


@pytest.mark.parametrize(
    ('options', 'texts'),
    [
        ({}, TEXTS),
        (dict(change_text='empty'), ['', '', '']),
        (dict(change_text='contradict'), ['The small lesion in the right lobe.', *TEXTS[1:]]),
        (
            dict(change_text=dict(type='contradict', lexicon=dict(opposites=[['lesion', 'scar']]))),
            ['The large scar in the right lobe.', 'The scar.', 'The scar.'],
        ),
        (dict(change_text=dict(type='paraphrase', words=False)), ['In the left lobe the large lesion.', *TEXTS[1:]]),
        (dict(change_text='paraphrase'), ['In the left lobe the big mass.', 'The mass.', 'The mass.']),
        (dict(constant_text=True), ['The lesion.'] * 3),
        (dict(constant_text=True, change_text='paraphrase'), ['The mass.'] * 3),
    ],
)
def test_the_datasets_options(dataset, log_lines, options, texts):
    whole, changed = list(dataset()), list(dataset(**options))
    assert [item['text'] for item in changed] == texts
    for key in ('sample_id', 'img_path', 'seg_map_path'):
        assert [item[key] for item in changed] == [item[key] for item in whole]
    grouped = dataset(expressions='group', **options)
    assert [item['texts'] for item in grouped] == [[text] for text in texts]
    assert not any('more than once' in line for line in log_lines), 'nothing stands in the table twice'


def test_options_reach_medvlsm(dataset):
    levels = dict(kind=MedVLSMDataset, table='levels.json', expressions='group')
    assert dataset(**levels, change_text='empty')[0]['texts'] == ['', '']
    assert dataset(**levels, change_text='contradict')[0]['texts'] == [
        'A large tumor at the bottom.',
        'Another at the top.',
    ]
