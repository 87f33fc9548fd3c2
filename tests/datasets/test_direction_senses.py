"""Direction words that are easily taken for something else, and the other way round; there and back is the same."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg_textseg.datasets.direction_words import DirectionWordError, find_direction_words, rewrite

HORIZONTAL = {  # sentence -> after a horizontal mirror
    'The lesion is on the left, not right.': 'The lesion is on the right, not left.',
    'not left but right': 'not right but left',
    'nodule not right of the heart': 'nodule not left of the heart',
    'absolutely right of the midline': 'absolutely left of the midline',
    'all right lesions': 'all left lesions',
    'Patient had left nephrectomy': 'Patient had right nephrectomy',
    'Patient has had left mastectomy': 'Patient has had right mastectomy',
    'person who has left hand raised': 'person who has right hand raised',
    'has left effusion': 'has right effusion',
    'left empty chair, the left open door': 'right empty chair, the right open door',
    'left blank screen': 'right blank screen',
    'R. lung and L. lung': 'L. lung and R. lung',
    'R lower lobe, R lower quadrant': 'L lower lobe, L lower quadrant',
    'L-lung, L pleural effusion': 'R-lung, R pleural effusion',
    'RLL-opacity, both RULs': 'LLL-opacity, both LULs',
    'R>L effusion, R and L kidneys': 'L>R effusion, L and R kidneys',
    'on the L side': 'on the R side',
    'right in the picture, man right in blue': 'left in the picture, man left in blue',
    "the left's edge is the right's": "the right's edge is the left's",
    "between 11 and 1 o'clock": "between 11 and 1 o'clock",
    "between the 1 and 3 o'clock positions": "between the 9 and 11 o'clock positions",
    "Between 1 o'clock and 2 o'clock": "Between 10 o'clock and 11 o'clock",
    "11 and 1 o'clock": "1 and 11 o'clock",
    "1-2 o'clock, 7 to 8 o'clock": "10-11 o'clock, 4 to 5 o'clock",
}
VERTICAL = {
    'The lesion lies lower.': 'The lesion lies higher.',
    'a bit higher up, slightly lower down': 'a bit lower down, slightly higher up',
    'the one on top, the white top of the house': 'the one on bottom, the white bottom of the house',
    'girl in white, top left': 'girl in white, bottom left',
    'girl in a tank top, top left': 'girl in a tank top, bottom left',
    "the top's edge": "the bottom's edge",
    "between 11 and 1 o'clock": "between 5 and 7 o'clock",
}
UNTOUCHED = (
    'it was left open, left blank',
    'luggage left behind, what remained was left over',
    'person who has left',
    'has left the room',
    'right next to it, right through it',
    '2 L of fluid, an L-shaped couch, RT.',
    'a tank top and a top hat',
    'the cyst is lower in density',
)
UNCLEAR = {  # sentence -> the word that may name a direction
    'person right in the blue shirt': 'right',
    'cow right on the hill': 'right',
    'guy right at the table': 'right',
    'right in front of the bus': 'right',
    'guy right behind the girl': 'right',
    'horse right in the field': 'right',
    'it is quite right': 'right',
    'man left behind the fence': 'left',
    'R mass': 'R',
    'lt blue shirt': 'lt',
    'guy on rt': 'rt',
    'RT planning': 'RT',
}
UNCLEAR_HEIGHT = {
    'girl in white top': 'top',
    'woman in a top': 'top',
    'The nodule is lower.': 'lower',
    'it is higher than the vessel': 'higher',
}
PATIENT = (  # names of the patient's anatomy
    'right upper quadrant',
    'RUQ and left lower quadrants',
    'the right paratracheal node',
    'right retroareolar mass',
    'left anterior descending artery',
    'right nephrectomy',
    'left pleural effusion',
    'R lower lobe',
)


@pytest.mark.parametrize(
    ('text', 'turn', 'new'),
    [(t, 'horizontal', new) for t, new in HORIZONTAL.items()] + [(t, 'vertical', new) for t, new in VERTICAL.items()],
)
def test_sides_and_heights_are_rewritten_there_and_back(text, turn, new):
    assert rewrite(text, turn) == new
    assert rewrite(new, turn) == text


@pytest.mark.parametrize('text', UNTOUCHED)
def test_other_meanings_are_untouched(text):
    assert rewrite(text, 'diagonal') == text
    assert not any(word.direction & {'left', 'right'} for word in find_direction_words(text))


@pytest.mark.parametrize(
    ('text', 'turn', 'word', 'other'),
    [(t, 'horizontal', word, 'vertical') for t, word in UNCLEAR.items()]
    + [(t, 'vertical', word, 'horizontal') for t, word in UNCLEAR_HEIGHT.items()],
)
def test_what_is_unclear_is_refused_by_name_where_the_turn_would_matter(text, turn, word, other):
    for laterality in ('image', 'patient'):
        with pytest.raises(DirectionWordError, match=f"'{word}' .*may name a direction or mean") as caught:
            rewrite(text, turn, laterality)
        assert caught.value.word == word
        assert rewrite(text, other, laterality) == text
    (unclear,) = (found for found in find_direction_words(text) if found.kind == 'unclear')
    assert (unclear.word, unclear.direction, text[unclear.start : unclear.end]) == (word, frozenset(), word)


def test_a_word_whose_exchange_would_read_otherwise_is_refused():
    for text in ('the one right alone', 'a guy on right open'):
        with pytest.raises(DirectionWordError, match=r"'right' .*would not be read as a direction"):
            rewrite(text, 'horizontal')


@pytest.mark.parametrize('text', PATIENT)
def test_names_of_anatomy_stay_with_the_patient(text):
    assert rewrite(text, 'horizontal', 'patient') == text
    assert rewrite(text, 'horizontal') != text


def test_a_quadrant_of_the_picture_is_none_of_the_belly():
    assert rewrite('upper right quadrant', 'horizontal', 'patient') == 'upper left quadrant'
    of_picture = 'right upper quadrant of the {} image'
    for what in ('', 'ultrasound'):
        assert rewrite(of_picture.format(what), 'horizontal', 'patient').startswith('left upper')


WORDS = re.findall(
    r'\S+',
    """
    left right upper lower top bottom higher above below center leftmost lowermost superior R L RUL Rt. RT rt
    lung lobe lesion man picture quadrant 's , . - has had is lies not the a of on in at between and to all quite behind
    next open alone white tank hat up down than 2 11 o'clock hand side nephrectomy segment VI
    """,
)
MIRRORED = {'left': 'right', 'leftmost': 'rightmost', 'l': 'r', 'lul': 'rul', 'lt': 'rt', '2': '10', '11': '1'}
MIRRORED |= {new: old for old, new in MIRRORED.items()}


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(WORDS), max_size=9), st.sampled_from(['image', 'patient']))
def test_any_words_flip_there_and_back_or_are_refused(words, laterality):
    text = re.sub(r"(?:^| )(?='s|,|\.|-)|(?<=-) ", '', ' '.join(words))
    try:
        new = rewrite(text, 'horizontal', laterality)
    except DirectionWordError:
        return
    back = rewrite(new, 'horizontal', laterality)
    plain, new, back = (re.sub(r'\ban\b', 'a', t) for t in (text, new, back))  # 'a 11' is mended on the way
    assert back == plain
    before, after = (re.findall(r'\w+', t.lower()) for t in (plain, new))
    if 'between' not in before and 'to' not in before and '-' not in text:  # ranges change their ends
        assert all(now in (old, MIRRORED.get(old)) for old, now in zip(before, after, strict=True))
