"""PartialText: a share, or some attributes, of what a sentence says."""

import itertools
import json
import logging
import re

import pytest

from mmseg_textseg.datasets import TextSegDataset, partial_text
from mmseg_textseg.datasets.annotations import AnnotationError
from mmseg_textseg.datasets.partial_text import PartialText

ROW = dict(
    case_id='case_1',
    segment='VI',
    side='right',
    diameter_mm=7.5,
    shape='irregular',
    boundary='clear',
    enhancement='non-enhancing',
    type='cyst',
)
FULL = (
    'A cyst in segment VI of the liver, with a diameter of 7.5 mm, irregular shape, clear boundary, and no enhancement.'
)
LVIT = 'Bilateral pulmonary infection, two infected areas, upper left lung and upper right lung.'
SAYS = dict(
    type='cyst',
    segment='segment VI',
    diameter_mm='7.5 mm',
    shape='irregular shape',
    boundary='clear boundary',
    enhancement='no enhancement',
)


def said(text):
    return {name for name, words in SAYS.items() if words.lower() in text}


# By hand: n = 6 attributes; floor(share * 6 + 1/2), at least 1.
@pytest.mark.parametrize(('share', 'count'), [(0.01, 1), (0.25, 2), (0.4, 2), (0.5, 3), (0.75, 5), (0.99, 6)])
def test_a_share_of_the_attributes(share, count):
    for sample in map(str, range(20)):
        text, way = PartialText(share).shorten(FULL, ROW, sample)
        assert way == 'attributes'
        assert len(said(text.lower())) == count, text
        assert ('lesion' in text) == ('cyst' not in text.lower())


def test_every_attribute_is_kept_by_some_sample():
    texts = [PartialText(0.25).shorten(FULL, ROW, str(i))[0].lower() for i in range(200)]
    counts = {name: sum(name in said(text) for text in texts) for name in SAYS}
    assert min(counts.values()) > 40, counts  # 200 * 2 / 6 on average


def test_the_choice_is_the_samples_and_nested():
    for sample in map(str, range(30)):
        kept = [said(PartialText(share).shorten(FULL, ROW, sample)[0].lower()) for share in (0.25, 0.5, 0.75)]
        assert all(less < more for less, more in itertools.pairwise(kept))
        assert PartialText(0.5).shorten(FULL, ROW, sample) == PartialText(0.5).shorten(FULL, ROW, sample)
    by_seed = {PartialText(0.5, seed=seed).shorten(FULL, ROW, 'a')[0] for seed in range(20)}
    assert len(by_seed) > 3


@pytest.mark.parametrize(
    ('keep', 'expected'),
    [
        (['type'], 'A cyst.'),
        ('shape', 'A lesion with an irregular shape.'),
        (['segment', 'shape'], 'A lesion in segment VI of the liver, with an irregular shape.'),
        (['enhancement', 'boundary', 'type'], 'A cyst with a clear boundary and no enhancement.'),
        (
            ['type', 'diameter_mm', 'shape', 'boundary', 'enhancement'],
            'A cyst with a diameter of 7.5 mm, an irregular shape, a clear boundary, and no enhancement.',
        ),
        (['side'], FULL),  # the sentence says no side
    ],
)
def test_attributes_by_name(keep, expected):
    assert PartialText(keep).shorten(FULL, ROW, 'x')[0] == expected


@pytest.mark.parametrize(
    'text',
    [
        'The largest cyst in the right lobe of the liver.',
        'The uppermost cyst in the right lobe.',
        'A lesion with a clear boundary.',  # one attribute
        'The lesion.',
    ],
)
def test_what_cannot_be_shortened_stays(text):
    assert PartialText(0.5).shorten(text, ROW, 'x') == (text, 'whole')


def test_values_are_whole_words_and_numbers():
    row = dict(ROW, segment='I', diameter_mm=7.5)
    assert PartialText(['segment', 'shape']).shorten(FULL, row, 'x')[0] == 'A lesion with an irregular shape.'
    longer = FULL.replace('7.5', '17.5')
    assert '7.5' not in PartialText(['diameter_mm', 'shape']).shorten(longer, ROW, 'x')[0]
    assert '7.5' not in PartialText(['diameter_mm', 'shape']).shorten(FULL.replace('7.5', '7.55'), ROW, 'x')[0]
    whole = dict(ROW, diameter_mm=7)
    assert '7' not in PartialText(['diameter_mm', 'shape']).shorten(FULL, whole, 'x')[0]
    assert '7 mm' in PartialText(['diameter_mm', 'shape']).shorten(FULL.replace('7.5', '7'), whole, 'x')[0]


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize(('share', 'count'), [(0.25, 1), (0.5, 2)])
def test_comma_fields_where_there_are_no_attributes(share, count, seed):
    text, way = PartialText(share, seed=seed).shorten(LVIT, {}, 'x')
    assert way == 'fields'
    assert text[0].isupper()
    assert text.endswith('.')
    fields = text[:-1].lower().split(', ')
    whole = LVIT[:-1].lower().split(', ')
    assert len(fields) == count
    assert fields == [field for field in whole if field in fields]


def test_fields_by_name():
    shorten = PartialText(['place'], fields=['state', 'number', 'place']).shorten
    assert shorten(LVIT, {}, 'x')[0] == 'Upper left lung and upper right lung.'
    assert shorten('One part only.', {}, 'x') == ('One part only.', 'whole')


@pytest.mark.parametrize(
    ('keep', 'options', 'message'),
    [
        (0, {}, 'share above 0'),
        (1.0, {}, 'below 1'),
        ([], {}, 'keep names nothing'),
        (['colour'], {}, r'keep names colour; known: type, segment'),
        (0.5, dict(wording=dict(shape='a shape')), 'wording of shape'),
    ],
)
def test_bad_options(keep, options, message):
    with pytest.raises(ValueError, match=message):
        PartialText(keep, **options)


def test_own_wording():
    shorten = PartialText(['grade'], wording=dict(type='{}', grade='grade {}')).shorten
    assert shorten('A glioma of grade 3.', dict(type='glioma', grade=3), 'x')[0] == 'A lesion with grade 3.'


@pytest.fixture
def table(tmp_path):
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
        for name in 'abc':
            (tmp_path / folder / f'{name}.png').touch()

    def write(rows):
        (tmp_path / 't.json').write_text(json.dumps(rows))
        return dict(
            ann_file='t.json',
            data_root=str(tmp_path),
            data_prefix=dict(img_path='images', seg_map_path='masks'),
            pipeline=[],
        )

    return write


def test_the_datasets_option(table, monkeypatch):
    told = []
    monkeypatch.setattr(partial_text, 'print_log', lambda message, **_: told.append(message))
    rows = [dict(image=name, expression=[FULL, 'The largest lesion.'], **ROW) for name in 'abc']
    options = table(rows)
    whole = list(TextSegDataset(**options))
    half = list(TextSegDataset(**options, partial_text=0.5))
    assert [item['sample_id'] for item in half] == [item['sample_id'] for item in whole]
    assert [len(said(item['text'].lower())) for item in half] == [3, 0] * 3
    assert half[1]['text'] == 'The largest lesion.'
    assert len({half[i]['text'] for i in (0, 2, 4)}) > 1, 'the choice differs by sample'
    assert told[0].endswith('partial text, keep=0.5: 3 attributes, 3 whole')
    grouped = list(TextSegDataset(**options, partial_text=0.5, expressions='group'))
    assert [item['texts'] for item in grouped] == [[half[i]['text'], half[i + 1]['text']] for i in (0, 2, 4)]
    named = TextSegDataset(**options, partial_text=dict(keep=['shape'], seed=1))
    assert named[0]['text'] == 'A lesion with an irregular shape.'


def test_levels(table):
    prompts = {f'p{level}': f'level {level}' for level in range(7)}
    options = table([dict(image=name, prompts=prompts) for name in 'abc'])
    levels = {share: TextSegDataset(**options, partial_text=share)[0]['text'] for share in (0.1, 0.25, 0.5, 0.9)}
    assert levels == {0.1: 'level 1', 0.25: 'level 2', 0.5: 'level 3', 0.9: 'level 5'}
    assert TextSegDataset(**options, partial_text=0.5, prompt='p4')[0]['text'] == 'level 2'
    with pytest.raises(AnnotationError, match=re.escape('t.json row 1: the expressions are in levels')):
        TextSegDataset(**options, partial_text='shape')


def test_nothing_is_logged_without_the_option(table, caplog):
    with caplog.at_level(logging.INFO):
        TextSegDataset(**table([dict(image='a', expression=FULL, **ROW)]))
    assert 'partial' not in caplog.text


MINE = {
    'type': '{}',
    'size': {'as': 'adjective', 'phrase': '{}'},
    'side': 'in the {} lobe of the liver',
    'place': {'as': 'place', 'phrase': 'in the {} part of the liver'},
    'shape': 'a {} shape',
}


@pytest.mark.parametrize(
    ('text', 'keep', 'expected'),
    [
        ('A large cyst in the left part of the liver.', ['side', 'place'], 'A lesion in the left part of the liver.'),
        ('A large cyst in the left lobe of the liver.', ['side', 'place'], 'A lesion in the left lobe of the liver.'),
        ('In the left part of the liver, an oval, large cyst.', ['size', 'type'], 'A large cyst.'),
        ('The cyst with an oval shape, in the left part.', ['shape', 'place'], None),
        ('All cysts in the left part of the liver, with an oval shape.', ['shape'], 'whole'),
        ('In the left part of the liver, a lesion.', 0.5, 'whole'),  # one attribute: its commas part no fields
    ],
)
def test_a_word_says_one_attribute_and_each_has_its_role(text, keep, expected):
    row = dict(type='cyst', size='large', side='left', place='left', shape='oval')
    told, way = PartialText(keep, wording=MINE).shorten(text, row, 'x')
    if expected == 'whole':
        assert (told, way) == (text, 'whole')
    elif expected is not None:
        assert told == expected
    else:
        assert told.endswith('with an oval shape.')


def test_wording_of_a_file_and_its_faults(tmp_path):
    path = tmp_path / 'wording.json'
    path.write_text(json.dumps(MINE))
    assert PartialText(0.5, wording=str(path)).wording == PartialText(0.5, wording=MINE).wording
    with pytest.raises(ValueError, match='wording of size: expected a phrase, or as: noun, adjective, place, detail'):
        PartialText(0.5, wording=dict(size={'as': 'colour', 'phrase': '{}'}))
    with pytest.raises(FileNotFoundError):
        PartialText(0.5, wording=str(tmp_path / 'none.json'))
