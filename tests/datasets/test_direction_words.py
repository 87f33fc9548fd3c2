"""Direction words: which are found, what they become, and what is refused."""

import pickle

import pytest

from mmseg_textseg.datasets.direction_words import DirectionWordError, find_direction_words, rewrite
from mmseg_textseg.datasets.turns import (
    QUARTER_TURNS,
    TURNS,
    canonical_turn,
    compose_turns,
    inverse_turn,
    turn_direction,
)

# Sentence -> (after a horizontal mirror, after a vertical one, after a quarter turn to the left).
PLACES = {
    'the lesion on the left': ('the lesion on the right', 'the lesion on the left', 'the lesion on the bottom'),
    'the right lesion': ('the left lesion', 'the right lesion', 'the upper lesion'),
    'the upper lesion': ('the upper lesion', 'the lower lesion', 'the left lesion'),
    'lower border': ('lower border', 'upper border', 'right border'),
    'Top left': ('Top right', 'Bottom left', 'Bottom left'),
    'BOTTOM RIGHT corner': ('BOTTOM LEFT corner', 'TOP RIGHT corner', 'TOP RIGHT corner'),
    'Lower-Right Quadrant': ('Lower-Left Quadrant', 'Upper-Right Quadrant', 'Upper-Right Quadrant'),
    'the left upper quadrant': ('the right upper quadrant', 'the left lower quadrant', 'the left lower quadrant'),
    'at the center, top right': ('at the center, top left', 'at the center, bottom right', 'at the center, top left'),
    'mid-left, far right': ('mid-right, far left', 'mid-left, far right', 'mid-bottom, far top'),
    'left and right': ('right and left', 'left and right', 'bottom and top'),
    'left/right edge': ('right/left edge', 'left/right edge', 'bottom/upper edge'),
    'left-to-right': ('right-to-left', 'left-to-right', 'bottom-to-top'),
    "the cat's left side": ("the cat's right side", "the cat's left side", "the cat's lower side"),
    'the leftmost lesion': ('the rightmost lesion', 'the leftmost lesion', 'the lowermost lesion'),
    'The uppermost dark lesion.': (
        'The uppermost dark lesion.',
        'The lowermost dark lesion.',
        'The leftmost dark lesion.',
    ),
    'the bottommost of the right-most two': (
        'the bottommost of the left-most two',
        'the topmost of the right-most two',
        'the rightmost of the upper-most two',
    ),
    'the right-hand side': ('the left-hand side', 'the right-hand side', 'the upper side'),
    'right hand side': ('left hand side', 'right hand side', 'upper side'),
    'drawn downwards': ('drawn downwards', 'drawn upwards', 'drawn rightwards'),
    'One tumor at the top, right in the breast ultrasound image.': (
        'One tumor at the top, left in the breast ultrasound image.',
        'One tumor at the bottom, right in the breast ultrasound image.',
        'One tumor at the left, top in the breast ultrasound image.',
    ),
    'The nuclei density in the upper left is high.': (
        'The nuclei density in the upper right is high.',
        'The nuclei density in the lower left is high.',
        'The nuclei density in the lower left is high.',
    ),
    'on the right side of the breast ultrasound image': (
        'on the left side of the breast ultrasound image',
        'on the right side of the breast ultrasound image',
        'on the upper side of the breast ultrasound image',
    ),
}
RELATIONS = {
    'the cyst left of the vessel': (
        'the cyst right of the vessel',
        'the cyst left of the vessel',
        'the cyst below the vessel',
    ),
    'the one to the right of the kidney': (
        'the one to the left of the kidney',
        'the one to the right of the kidney',
        'the one above the kidney',
    ),
    'the nodule above the vessel': (
        'the nodule above the vessel',
        'the nodule below the vessel',
        'the nodule left of the vessel',
    ),
    'Below it': ('Below it', 'Above it', 'Right of it'),
    'on top of the box': ('on top of the box', 'underneath the box', 'left of the box'),
    'beneath the box': ('beneath the box', 'atop the box', 'right of the box'),
}
CLOCK = {
    "at 3 o'clock": ("at 9 o'clock", "at 3 o'clock", "at 12 o'clock"),
    'at 12 o\u2019clock': ('at 12 o\u2019clock', 'at 6 o\u2019clock', 'at 9 o\u2019clock'),
    "10 O'CLOCK": ("2 O'CLOCK", "8 O'CLOCK", "7 O'CLOCK"),
    'Two o`clock position': ('Ten o`clock position', 'Four o`clock position', 'Eleven o`clock position'),
    "at 2:30 o'clock": ("at 9:30 o'clock", "at 3:30 o'clock", "at 11:30 o'clock"),
    'the 4:15 position': ('the 7:45 position', 'the 1:45 position', 'the 1:15 position'),
    # A range runs clockwise, so its ends change places in a mirror.
    "1-2 o'clock": ("10-11 o'clock", "4-5 o'clock", "10-11 o'clock"),
    "from 10 to 2 o'clock": ("from 10 to 2 o'clock", "from 4 to 8 o'clock", "from 7 to 11 o'clock"),
    "1 o'clock to 4 o'clock": ("8 o'clock to 11 o'clock", "2 o'clock to 5 o'clock", "10 o'clock to 1 o'clock"),
    # A list keeps its order.
    "at 1, 2 and 4 o'clock": ("at 11, 10 and 8 o'clock", "at 5, 4 and 2 o'clock", "at 10, 11 and 1 o'clock"),
}
# Of anatomy: after a horizontal mirror, after a vertical one. A quarter turn is refused.
ANATOMY = {
    'Bilateral pulmonary infection, two infected areas, upper left lung and upper right lung.': (
        'Bilateral pulmonary infection, two infected areas, upper right lung and upper left lung.',
        'Bilateral pulmonary infection, two infected areas, lower left lung and lower right lung.',
    ),
    'Unilateral pulmonary infection, one infected area, all left lung.': (
        'Unilateral pulmonary infection, one infected area, all right lung.',
        'Unilateral pulmonary infection, one infected area, all left lung.',
    ),
    'all right lung and middle lower left lung': (
        'all left lung and middle lower right lung',
        'all right lung and middle upper left lung',
    ),
    'the right lobe of the liver': ('the left lobe of the liver', 'the right lobe of the liver'),
    'Left Upper lobe': ('Right Upper lobe', 'Left Lower lobe'),
    'in the left upper and right lower lobes': (
        'in the right upper and left lower lobes',
        'in the left lower and right upper lobes',
    ),
    'the upper outer quadrant of the left breast': (
        'the upper outer quadrant of the right breast',
        'the lower outer quadrant of the left breast',
    ),
    'left-sided effusion': ('right-sided effusion', 'left-sided effusion'),
    'superior pole': ('superior pole', 'inferior pole'),
    'RUL': ('LUL', 'RLL'),
    'a nodule in the RLQ (UOQ)': ('a nodule in the LLQ (UOQ)', 'a nodule in the RUQ (LOQ)'),
    'RMZ and LLZ': ('LMZ and RLZ', 'RMZ and LUZ'),
    'Lt breast, Rt. kidney': ('Rt breast, Lt. kidney', 'Lt breast, Rt. kidney'),
    'RT lung, lt axilla': ('LT lung, rt axilla', 'RT lung, lt axilla'),
    'L kidney, mass (R)': ('R kidney, mass (L)', 'L kidney, mass (R)'),
    'left lower lobe (LLL)': ('right lower lobe (RLL)', 'left upper lobe (LUL)'),
}
UNTOUCHED = (
    'the upright bright copyright brightest one',
    'the left-over and the leftover',
    'at a right angle, a right-angled shape',
    'what is left of it',
    'nothing is left',
    'left untouched, left alone',
    'he left the room and has left',
    'all right, right away, the right answer',
    'right next to the wall',
    'lower density than the liver',
    'of a higher density, is lower than that',
    'the upper limit',
    'as described above, above average',
    'the superior vena cava',
    'RT after chemotherapy',
    "about 3 pm, 5:30 h, 10 o'clocks",
    'right-handed, left-leaning',
    'in the center, the middle one',
    '',
)
REFUSED = {  # sentence -> the word at fault
    'a nodule in the middle lobe': 'middle lobe',
    'Right Middle Lobe infection': 'Right Middle Lobe',
    'in the RML': 'RML',
    'the lingula and the right lobe': 'lingula',
    'the lingular segment': 'lingular',
    'a cyst in segment VI of the liver': 'segment VI',
    'a cyst in liver segment IVa, 12.5 mm': 'liver segment IVa',
    'segments V, VI and VIII': 'segments V, VI and VIII',
    'the caudate lobe': 'caudate lobe',
    'the hepatic flexure': 'hepatic flexure',
    'the cecum': 'cecum',
    'the aortic arch': 'aortic arch',
}
ALL = {**PLACES, **RELATIONS, **CLOCK}


@pytest.mark.parametrize('text', ALL)
def test_places_relations_and_clock_positions(text):
    assert tuple(rewrite(text, turn) for turn in ('horizontal', 'vertical', 'rot90')) == ALL[text]


@pytest.mark.parametrize(
    ('turn', 'moved'),
    [
        # The places of left, right, upper, lower, and of 1 o'clock, after each turn: by hand, on a sheet of paper.
        ('horizontal', ('right', 'left', 'upper', 'lower', 11)),
        ('vertical', ('left', 'right', 'lower', 'upper', 5)),
        ('diagonal', ('right', 'left', 'lower', 'upper', 7)),
        ('rot180', ('right', 'left', 'lower', 'upper', 7)),
        ('rot90', ('lower', 'upper', 'left', 'right', 10)),
        ('rot270', ('upper', 'lower', 'right', 'left', 4)),
        ('transpose', ('upper', 'lower', 'left', 'right', 8)),
        ('antitranspose', ('lower', 'upper', 'right', 'left', 2)),
    ],
)
def test_each_turn(turn, moved):
    found = [rewrite(f'the {word} box', turn).split()[1] for word in ('left', 'right', 'upper', 'lower')]
    assert (*found, int(rewrite("1 o'clock", turn).split()[0])) == moved


@pytest.mark.parametrize('text', ANATOMY)
def test_anatomy_by_the_sides_of_the_picture(text):
    assert tuple(rewrite(text, turn) for turn in ('horizontal', 'vertical')) == ANATOMY[text]
    assert rewrite(rewrite(text, 'horizontal'), 'vertical') == rewrite(text, 'diagonal')
    for turn in QUARTER_TURNS:
        with pytest.raises(DirectionWordError, match='by a quarter has no name'):
            rewrite(text, turn)


@pytest.mark.parametrize('text', [*ANATOMY, *REFUSED])
def test_anatomy_by_the_sides_of_the_patient_stays(text):
    assert {rewrite(text, turn, 'patient') for turn in TURNS} == {text}


def test_the_patient_s_sides_and_the_picture_s_in_one_sentence():
    text = "the upper lesion in the left lobe, right of the vessel in the left breast at 2 o'clock"
    told = "the upper lesion in the left lobe, left of the vessel in the left breast at 2 o'clock"
    assert rewrite(text, 'horizontal', 'patient') == told
    assert rewrite("at 2 o'clock of the picture", 'horizontal', 'patient') == "at 10 o'clock of the picture"
    assert rewrite('the left carina', 'horizontal', 'patient') == 'the right carina'
    assert rewrite('the left carina', 'horizontal', 'patient', anatomy=['carina']) == 'the left carina'


@pytest.mark.parametrize('text', UNTOUCHED)
def test_other_words_are_untouched(text):
    for turn in TURNS:
        assert rewrite(text, turn) == text
    assert all(word.direction == {'center'} for word in find_direction_words(text))


@pytest.mark.parametrize('text', REFUSED)
def test_what_has_no_counterpart_is_refused_by_name(text):
    with pytest.raises(DirectionWordError) as caught:
        rewrite(text, 'horizontal')
    error = caught.value
    assert (error.word, error.text, error.turn) == (REFUSED[text], text, 'horizontal')
    assert repr(REFUSED[text]) in str(error)
    assert "on_refusal='undo'" in str(error).replace('"', "'")


def test_of_the_places_without_counterpart_only_a_middle_one_stays_in_a_vertical_mirror():
    assert rewrite('the middle lobe, RML', 'vertical') == 'the middle lobe, RML'
    for text in ('segment VI', 'the lingula'):
        with pytest.raises(DirectionWordError):
            rewrite(text, 'vertical')


def test_the_error_reaches_the_main_process():
    """Data loaders pickle errors of their workers."""
    with pytest.raises(DirectionWordError) as caught:
        rewrite('segment VI', 'rot180')
    caught.value.where = 'a.png'
    error = pickle.loads(pickle.dumps(caught.value))
    assert str(error) == str(caught.value)
    assert str(error).startswith("a.png: 'segment VI'")
    assert error.turn == 'diagonal'


# What comes back in other words after a quarter turn, with the same meaning.
ONE_WAY = {
    'the 04:15 position',
    'on top of the box',
    'beneath the box',
    'the right-hand side',
    'right hand side',
    'drawn downwards',
}
ONE_WAY |= {
    'the bottommost of the right-most two',
    'left/right edge',
    'left-to-right',
    'the one to the right of the kidney',
}


@pytest.mark.parametrize('text', ALL)
def test_there_and_back(text):
    for turn in TURNS:
        if turn not in QUARTER_TURNS or text not in ONE_WAY:
            assert rewrite(rewrite(text, turn), inverse_turn(turn)) == text


@pytest.mark.parametrize('text', [t for t in ALL if t not in ONE_WAY])
def test_two_turns_are_one(text):
    for first in TURNS:
        for second in TURNS:
            both = compose_turns(first, second)
            assert rewrite(rewrite(text, first), second) == (rewrite(text, both) if both else text)


def test_turns_are_a_group():
    group = (None, *TURNS)
    for one in group:
        assert compose_turns(one) == one == compose_turns(None, one, None)
        assert {compose_turns(one, other) for other in group} == set(group)
        for other in group:
            for third in group:
                assert compose_turns(compose_turns(one, other), third) == compose_turns(one, other, third)
    for turn in TURNS:
        assert compose_turns(turn, inverse_turn(turn)) is None
    assert compose_turns('rot90', 'rot90') == 'diagonal' == canonical_turn('rot180')
    assert turn_direction('center', 'rot90') == 'center'


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('The Upper Left one', [('Upper Left', {'upper', 'left'}, 'place', False)]),
        ('to the left of it', [('to the left of', {'left'}, 'relation', False)]),
        ('the right lobe', [('right', {'right'}, 'lobe', True)]),
        (
            "1 o'clock of the left breast",
            [("1 o'clock", {'upper', 'right'}, 'clock', True), ('left', {'left'}, 'place', True)],
        ),
        ("6 o'clock", [("6 o'clock", {'lower'}, 'clock', False)]),
        ('RUL', [('RUL', {'right', 'upper'}, 'abbreviation', True)]),
        ('segments II and V', [('segments II and V', {'left', 'right'}, 'segment', True)]),
        ('the top half of the kidney', [('top', {'upper'}, 'place', True)]),
        ('the upper lesion of the kidney', [('upper', {'upper'}, 'place', False)]),
        ('in the center', [('center', {'center'}, 'place', False)]),
    ],
)
def test_what_is_found(text, words):
    found = find_direction_words(text)
    assert [(w.word, w.direction, w.kind, w.anatomical) for w in found] == words
    assert all(text[w.start : w.end] == w.word for w in found)


def test_wrong_names():
    with pytest.raises(ValueError, match=r"'rot45'.*horizontal.*rot180"):
        rewrite('left', 'rot45')
    with pytest.raises(ValueError, match="laterality is 'mine'; expected 'image' or 'patient'"):
        rewrite('left', 'horizontal', 'mine')


@pytest.mark.parametrize(
    ('text', 'turn', 'new'),
    [
        ('An upper lesion', 'vertical', 'A lower lesion'),
        ('a left lesion, a right lesion', 'rot270', 'an upper lesion, a lower lesion'),
        ("a 1 o'clock lesion", 'horizontal', "an 11 o'clock lesion"),
        ("an eight o'clock lesion", 'vertical', "a ten o'clock lesion"),
        ('a UOQ mass and an LUL nodule', 'vertical', 'an LOQ mass and an LLL nodule'),
        ('the upper lesion of a liver', 'vertical', 'the lower lesion of a liver'),
    ],
)
def test_the_article_follows(text, turn, new):
    assert rewrite(text, turn) == new
    assert rewrite(new, inverse_turn(turn)) == text


def test_a_clock_s_leading_nought():
    assert rewrite('at the 04:15 position', 'horizontal') == 'at the 07:45 position'
