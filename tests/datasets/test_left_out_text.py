"""PartialText with ``drop`` and ``words``: one attribute less, by rows, fields or words; less of plain sentences."""

import json
import re

import pytest

from mmseg_textseg.datasets import MedVLSMDataset, TextSegDataset
from mmseg_textseg.datasets.annotations import AnnotationError
from mmseg_textseg.datasets.partial_text import PartialText

ROW = dict(segment='VI', side='right', diameter_mm=7.5, shape='irregular', boundary='clear', type='cyst')
FULL = 'A cyst in segment VI of the liver, with a diameter of 7.5 mm, irregular shape, and clear boundary.'
LVIT = 'Bilateral pulmonary infection, two infected areas, upper left lung.'
PLAIN = 'The large dark lesion in the left lobe.'


@pytest.mark.parametrize(
    ('drop', 'text', 'expected', 'way'),
    [
        # By the columns of the row: the rest is said anew.
        (
            'shape',
            FULL,
            'A cyst in segment VI of the liver, with a diameter of 7.5 mm and a clear boundary.',
            'attributes',
        ),
        (
            'type',
            FULL,
            'A lesion in segment VI of the liver, with a diameter of 7.5 mm, an irregular shape, and a clear boundary.',
            'attributes',
        ),
        ('segment', FULL, 'A cyst with a diameter of 7.5 mm, an irregular shape, and a clear boundary.', 'attributes'),
        ('side', FULL, FULL, 'whole'),  # the row knows it, the sentence does not say it
        ('field 1', FULL, FULL, 'whole'),  # its commas part no fields
        # By fields between commas.
        ('field 2', LVIT, 'Bilateral pulmonary infection, upper left lung.', 'fields'),
        ('field 1', LVIT, 'Two infected areas, upper left lung.', 'fields'),
        ('field 4', LVIT, LVIT, 'whole'),
        # By words.
        ('side', LVIT, 'Bilateral pulmonary infection, two infected areas, upper lung.', 'words'),
        ('size', PLAIN, 'The dark lesion in the left lobe.', 'words'),
        ('side', PLAIN, 'The large dark lesion.', 'words'),
        ('size', 'The largest lesion.', 'The lesion.', 'words'),
    ],
)
def test_drop(drop, text, expected, way):
    attributes = ROW if text == FULL else {}
    assert PartialText(drop=drop, words=True).shorten(text, attributes, 'x') == (expected, way)


def test_fields_with_names():
    shorten = PartialText(drop='number', fields=['state', 'number', 'place']).shorten
    assert shorten(LVIT, {}, 'x')[0] == 'Bilateral pulmonary infection, upper left lung.'


@pytest.mark.parametrize(('share', 'count'), [(0.25, 1), (0.5, 2), (0.75, 2), (0.9, 3)])  # floor(3 share + 1/2)
def test_a_share_of_words(share, count):
    said = dict(size='large', brightness='dark', side='left')
    texts = set()
    for sample in map(str, range(30)):
        text, way = PartialText(share, words=True).shorten(PLAIN, {}, sample)
        assert way == ('words' if count < 3 else 'whole')
        assert sum(word in text for word in said.values()) == count
        texts.add(text)
    assert len(texts) == (1 if count == 3 else 3), 'all choices occur'


def test_without_words_plain_sentences_stay():
    assert PartialText(0.5).shorten(PLAIN, {}, 'x') == (PLAIN, 'whole')
    assert PartialText(drop='shape').shorten('A round lesion.', {}, 'x') == ('A round lesion.', 'whole')
    assert PartialText(0.5, words=True).shorten('The large lesion.', {}, 'x') == ('The large lesion.', 'whole')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({}, 'keep is None and drop is None'),
        (dict(keep=0.5, drop='shape'), 'expected one of them'),
        (dict(drop='size'), 'drop names size; known: type, segment'),  # an attribute of words only
        (dict(drop='colour', words=True), 'side, diameter_mm, shape, boundary, enhancement, height'),
        (dict(drop='field 0'), 'field 1, field 2, ...'),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        PartialText(**options)


@pytest.fixture
def data(tmp_path):
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
        for name in 'ab':
            (tmp_path / folder / f'{name}.png').touch()
    return tmp_path


def test_of_levels_the_words_are_left_out(data):
    levels = dict(p0='', p1='Tumor.', p2='One benign tumor at the top, top.')
    rows = [dict(img_name=f'{n}.png', mask_name=f'{n}.png', prompts=levels) for n in 'ab']
    (data / 'a.json').write_text(json.dumps(rows))
    options = dict(ann_file='a.json', data_root=str(data), prompts=('p2',), pipeline=[])
    texts = {
        name: MedVLSMDataset(partial_text=dict(drop=name, words=True), **options)[0]['text']
        for name in ('type', 'place', 'field 1')
    }
    assert texts == {'type': 'One tumor at the top, top.', 'place': 'One benign tumor.', 'field 1': levels['p2']}
    assert MedVLSMDataset(partial_text=dict(keep=0.5, words=True), **options)[0]['text'] == 'Tumor.', 'a lower level'
    with pytest.raises(AnnotationError, match="a part of 'p2' by drop='type' cannot be taken"):
        MedVLSMDataset(partial_text=dict(drop='type'), **options)


def test_the_datasets_option(data, log_lines):
    rows = [dict(image='a', expression=[FULL, PLAIN], **ROW), dict(image='b', expression=LVIT, **ROW)]
    (data / 't.json').write_text(json.dumps(rows))
    prefix = dict(img_path='images', seg_map_path='masks')
    dataset = TextSegDataset(
        't.json', data_root=str(data), data_prefix=prefix, pipeline=[], partial_text=dict(drop='side', words=True)
    )
    assert [item['text'] for item in dataset] == [
        FULL,
        'The large dark lesion.',
        'Bilateral pulmonary infection, two infected areas, upper lung.',
    ]
    assert log_lines[0].endswith("partial text, drop='side': 1 whole, 2 words")
