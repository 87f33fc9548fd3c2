"""Paraphrase: other wordings of the same, by hand."""

import re

import pytest

from mmseg_textseg.datasets.annotations import AnnotationRow
from mmseg_textseg.datasets.paraphrase import Paraphrase

DETAILS = (
    'A cyst in segment VI of the liver, with a diameter of 7.5 mm, irregular shape, clear boundary, and no enhancement.'
)
FIELDS = 'Bilateral pulmonary infection, two infected areas, upper left lung.'
PLACES = 'Two small tumors at the top, center in the image.'


def row(image='a.png', in_levels=False):
    return AnnotationRow(image, None, (), {}, 'row 1', in_levels)


def reorder(text, **options):
    return Paraphrase(words=False)(text, row(**options))


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('The dark lesion in the left lobe.', 'In the left lobe the dark lesion.'),
        ('One small tumor at the top right in the image.', 'At the top right in the image one small tumor.'),
        ('The nuclei density in the upper left is high.', 'In the upper left the nuclei density is high.'),
        ('A lesion with a round shape and a clear boundary.', 'A lesion with a clear boundary and a round shape.'),
        ('man on left', 'On left man'),
        ('CT finding in the left lobe.', 'In the left lobe CT finding.'),
        # Nothing to put elsewhere.
        ('The largest lesion.', 'The largest lesion.'),
        ('No tumor in the breast image.', 'No tumor in the breast image.'),  # no place is named
        ('A lesion, which is dark, and another.', 'A lesion, which is dark, and another.'),
    ],
)
def test_order(text, expected):
    assert reorder(text) == expected


def test_details_change_places_and_nothing_else():
    pattern = r'A cyst in segment VI of the liver, with (.+), (.+), (.+), and (.+)\.'
    before = re.fullmatch(pattern, DETAILS).groups()
    orders = set()
    for i in range(30):
        after = re.fullmatch(pattern, reorder(DETAILS, image=f'{i}.png')).groups()
        assert (
            sorted(after)
            == sorted(before)
            == sorted(['a diameter of 7.5 mm', 'irregular shape', 'clear boundary', 'no enhancement'])
        )
        assert after != before
        orders.add(after)
    assert len(orders) > 5


def test_fields_change_places():
    texts = {reorder(FIELDS, image=f'{i}.png') for i in range(30)}
    assert 'Upper left lung, two infected areas, bilateral pulmonary infection.' in texts
    assert FIELDS not in texts
    assert len(texts) == 5, 'all orders of three but the one that it has'


def test_commas_of_levels_list_places_and_part_no_fields():
    assert reorder(PLACES, in_levels=True) == 'At the top, center in the image two small tumors.'
    assert reorder(PLACES).startswith('Center in the image, two small tumors')


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('The large lesion.', 'The big mass.'),
        ('A small nodule with a lesion.', 'A little nodule with a mass.'),
        ('An image of the largest tumor.', 'A picture of the biggest neoplasm.'),
        ('A mass, dark, in the left lobe.', 'A lesion, dark, located in the left lobe.'),
        ('All of it, with round shape, at the left.', 'All of it, with circular shape, located at the left.'),
        ('It is in the left lobe.', 'It is in the left lobe.'),
    ],
)
def test_words(text, expected):
    assert Paraphrase()(text, row()) == expected


def test_one_of_several_synonyms_by_sample():
    texts = [Paraphrase()('The clear boundary.', row(f'{i}.png')) for i in range(20)]
    assert set(texts) == {'The well-defined boundary.', 'The sharp boundary.'}
    assert texts == [Paraphrase()('The clear boundary.', row(f'{i}.png')) for i in range(20)]
    assert texts != [Paraphrase(seed=1)('The clear boundary.', row(f'{i}.png')) for i in range(20)]


def test_the_folder_does_not_matter():
    assert [Paraphrase()(DETAILS, row(f'{f}/x.png')) for f in ('a', 'b')] == [Paraphrase()(DETAILS, row('x.png'))] * 2


def test_words_of_ones_own():
    own = Paraphrase(lexicon=dict(synonyms=[['nodule', 'lump']]))
    assert own('The large Nodule.', row()) == 'The large Lump.'
