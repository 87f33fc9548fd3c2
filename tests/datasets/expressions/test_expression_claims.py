"""Words and their margins, what fits, sentences, templates, and texts on whole pictures."""

from copy import deepcopy

import numpy as np
import pytest

from mmseg_textseg.datasets.expressions import TemplateError, load_template
from mmseg_textseg.datasets.expressions.attributes import Attributes, describe, words_of
from mmseg_textseg.datasets.expressions.grammar import lesion_sentence
from mmseg_textseg.datasets.expressions.lesions import label_mask, measure_lesions
from mmseg_textseg.datasets.expressions.picture import _densest, picture_sentence, quadrant_density
from mmseg_textseg.datasets.expressions.unique import (
    fits,
    fitting,
    full_claim,
    none_claims,
    partial_claims,
    several_claims,
)

TEMPLATE = load_template('refhl')


def lesion(mm=20.0, **words):
    return Attributes(
        {name: frozenset(word.split('|')) if word else None for name, word in words.items()}, dict(diameter_mm=mm)
    )


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        (0.3, {'left'}),
        (0.45, {'left', 'right'}),
        (0.55, {'left', 'right'}),
        (0.57, {'right'}),
        (np.nan, None),
    ],
)
def test_a_value_within_the_margin_has_both_words(value, expected):
    assert words_of(value, dict(edges=[0.5], margin=0.06, words=['left', 'right'])) == expected


def test_margin_share_grows_with_the_edge():
    measure = dict(edges=[10, 30], margin_share=0.1, words=['s', 'm', 'l'])
    assert words_of(11.5, measure) == {'m'}
    assert words_of(32, measure) == {'m', 'l'}


@pytest.mark.parametrize(
    ('claim', 'expected'),
    [
        (dict(shape='round'), True),
        (dict(shape='oval'), False),
        (dict(boundary='clear'), None),
        (dict(density='hypodense'), None),
        (dict(density='hypodense', shape='oval'), False),
        (dict(diameter_mm=20.0), True),
        (dict(diameter_mm=21.5), None),
        (dict(diameter_mm=30.0), False),
    ],
)
def test_fits(claim, expected):
    assert fits(lesion(shape='round', boundary='clear|blurred', density=''), claim) is expected


def test_a_doubtful_rival_makes_a_claim_useless():
    sure, doubtful = lesion(shape='round'), lesion(50.0, shape='round|oval')
    assert fitting(dict(shape='round'), [sure, doubtful]) is None
    assert fitting(dict(shape='round'), [sure, lesion(shape='oval')]) == [0]
    first = next(iter(partial_claims(0, [sure, doubtful], TEMPLATE, False)))
    assert first == [dict(diameter_mm=20.0)]


def test_smallest_sets_first_several_and_none():
    lesions = [
        lesion(20.0, shape='round', boundary='clear'),
        lesion(20.5, shape='round', boundary='blurred'),
        lesion(20.0, shape='oval', boundary='clear'),
    ]
    assert next(iter(partial_claims(0, lesions, TEMPLATE, False))) == [dict(shape='round', boundary='clear')]
    assert next(iter(partial_claims(2, lesions, TEMPLATE, False))) == [dict(shape='oval')]
    assert (dict(shape='round'), [0, 1]) in several_claims(lesions, TEMPLATE, False)
    nothing = none_claims(lesions, TEMPLATE, False)
    assert dict(shape='oval', boundary='blurred') in nothing
    assert all(fitting(claim, lesions) == [] for claim in nothing)


def test_full_says_one_place_and_never_a_middle_alone():
    claim = full_claim(lesion(segment='VI', horizontal='left', shape='round'), TEMPLATE, False)
    assert claim == dict(segment='VI', diameter_mm=20.0, shape='round')
    assert 'horizontal' not in full_claim(lesion(horizontal='middle'), TEMPLATE, True)
    both = full_claim(lesion(horizontal='middle', vertical='upper'), TEMPLATE, True)
    assert both == dict(horizontal='middle', vertical='upper', diameter_mm=20.0)


def test_sentence_leaves_out_what_is_unknown():
    claim = dict(horizontal='left', vertical='upper', diameter_mm=7.5, shape='oval', density='isodense')
    first, second, _ = TEMPLATE['patterns']['one']
    assert lesion_sentence(claim, first, TEMPLATE, False) == (
        'An isodense lesion in the upper left part of the liver, with a diameter of 7.5 mm and an oval shape.'
    )
    assert lesion_sentence(dict(shape='round'), first, TEMPLATE, False) == 'A lesion with a round shape.'
    assert lesion_sentence(dict(horizontal='left'), first, TEMPLATE, False) == 'A lesion in the left part of the liver.'
    middle = dict(horizontal='middle', vertical='middle')
    assert lesion_sentence(middle, second, TEMPLATE, True) == 'In the central part of the picture, a lesion.'
    assert lesion_sentence(dict(superlative='largest'), first, TEMPLATE, True) == 'The largest lesion.'


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('measures.density.words', ['dark', 'bright'], r'measures\.density\.words .* expected 3 words'),
        ('measures.boundary.edges', [3, 1], r'measures\.boundary\.edges .* rising'),
        ('measures.boundary.colour', 'red', r'--set measures\.boundary\.colour: no such key; there are edges'),
        ('attributes.shape.phrase', 'shape', r'attributes\.shape\.phrase .* \{\} for the word'),
        ('patterns.one', ['a {lesion} {colour} {place} {details}'], 'no slot colour'),
        ('patterns.one', ['a {lesion} {place}'], 'or what it says is lost'),
        ('lobes', {'left': ['IX']}, 'lobes'),
        ('full', ['colour'], 'full is'),
        ('noun', '', 'noun is'),
    ],
)
def test_errors_of_a_template_name_file_and_key(key, value, message):
    with pytest.raises(TemplateError, match=message) as raised:
        load_template('refhl', {key: value})
    assert 'refhl.yaml' in str(raised.value)


def test_template_from_json_and_what_is_missing(tmp_path):
    from mmengine import fileio

    changed = deepcopy(TEMPLATE) | dict(noun='cyst')
    fileio.dump(changed, str(tmp_path / 'mine.json'))
    assert load_template(str(tmp_path / 'mine.json')) == changed
    del changed['full']
    fileio.dump(changed | dict(colour=1), str(tmp_path / 'mine.json'))
    with pytest.raises(TemplateError, match=r'full: missing\n.*colour: unknown'):
        load_template(str(tmp_path / 'mine.json'))
    with pytest.raises(TemplateError, match='shipped styles are lvit, refhl'):
        load_template('nothing')


def squares(*corners, size=100, side=6):
    mask = np.zeros((size, size), bool)
    for y, x in corners:
        mask[y : y + side, x : x + side] = True
    return measure_lesions(label_mask(mask), appearance=False)


def test_few_lesions_of_a_picture():
    template = load_template('lvit', dict(noun='infected area', plural='infected areas', organ='lung'))
    text, columns = picture_sentence(squares((10, 10), (80, 80)), template)
    assert text == 'Bilateral infected areas, two infected areas, upper left and lower right of the lung.'
    assert (columns['count'], columns['where']) == (2, 'upper left and lower right')
    text = picture_sentence(squares((10, 80)), template)[0]
    assert text == 'Single infected area, one infected area, upper right of the lung.'
    assert picture_sentence([], template)[0] == 'No infected areas.'


def test_dense_picture():
    template = load_template('lvit', dict(noun='nucleus', plural='nuclei'))
    grid = [(y, x) for y in range(2, 100, 10) for x in range(2, 100, 10)]
    even, columns = picture_sentence(squares(*grid), template)
    assert even == 'Evenly distributed nuclei, dozens of nuclei.'  # 100 is an edge: the lesser word
    assert columns['unevenness'] == 1
    crowded = [(y, x) for y, x in grid if (y < 50 and x < 50) or (x + y) % 20 == 4]
    text, columns = picture_sentence(squares(*crowded), template)
    assert text == 'Unevenly distributed nuclei, dozens of nuclei, density high in the upper left.'
    assert columns['unevenness'] == pytest.approx(25 / (len(crowded) / 4), abs=0.001)


def test_quadrant_density_counts_only_the_organ():
    mask, organ = np.zeros((2, 10, 10), bool)
    mask[0:5, 0:5] = True
    organ[:, :] = True
    assert quadrant_density(mask).tolist() == [4, 0, 0, 0]
    organ[:, 5:] = False
    density = quadrant_density(mask, organ)
    assert density[:2].tolist() == [2, 2]
    assert density[2:].tolist() == [0, 0]


def test_a_dark_core_with_a_bright_rim_is_not_isodense():
    y, x = np.mgrid[:100, :100]
    mask, core = (x - 50) ** 2 + (y - 50) ** 2 <= 20**2, (x - 50) ** 2 + (y - 50) ** 2 <= 14**2
    image = np.where((x + y) % 2, 105.0, 95.0)
    for inside, expected in ((100, frozenset({'isodense'})), (np.where(core, 80, 120), None)):
        lesions = measure_lesions(label_mask(mask), np.where(mask, inside, image).astype(np.float32))
        assert abs(lesions[0].contrast) < 0.6
        assert describe(lesions, TEMPLATE)[0].words['density'] == expected


@pytest.mark.parametrize(('side', 'smallest'), [(22, set()), (30, {'smallest'})])
def test_the_smallest_is_so_by_diameter_too(side, smallest):
    """A bar of 2 x 30, diameter 30.1, beside a square of far more area, whose diameter is 31.1 or 42.4."""
    mask = np.zeros((100, 100), bool)
    mask[10:12, 10:40] = mask[40 : 40 + side, 20 : 20 + side] = True
    bar, _ = describe(measure_lesions(label_mask(mask)), TEMPLATE)
    assert bar.superlatives & {'smallest', 'largest'} == smallest


@pytest.mark.parametrize(('rows', 'where'), [(51, None), (56, 'upper left')])
def test_the_densest_quadrant_is_so_by_a_twentieth(rows, where):
    density = np.array([rows, 50, 20, 49]) / 42.5  # neither half is denser than the other in both
    assert _densest(density) == where


def test_size_is_said_where_no_diameter_is():
    sized = Attributes({'size': frozenset({'large'}), 'shape': frozenset({'round'})}, {})
    assert full_claim(sized, TEMPLATE, True) == dict(size='large', shape='round')
    assert 'size' not in full_claim(lesion(size='large', shape='round'), TEMPLATE, True)
