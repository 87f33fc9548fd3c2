"""Direction words and clock positions under turns: laws that hold for any sentence."""

import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from steady import STEADY

from mmseg_textseg.datasets.clock_positions import turn_clock
from mmseg_textseg.datasets.direction_words import DirectionWordError, find_direction_words, rewrite
from mmseg_textseg.datasets.turns import (
    ANGLES,
    MIRRORS,
    TURNS,
    compose_turns,
    inverse_turn,
    turn_angle,
    turn_direction,
)

FLIPS = st.sampled_from(['horizontal', 'vertical', 'diagonal'])
ANY_TURN = st.sampled_from(TURNS)
# A direction that always is one, in a place of a sentence where it is read as such.
PLACE = st.sampled_from(['left', 'right', 'upper', 'lower', 'upper left', 'lower right', 'right upper', 'left lower'])
PHRASE = st.builds(
    '{} {} {}'.format,
    st.sampled_from(['the cyst in the', 'a nodule at the', 'something round near the', 'two spots on the']),
    PLACE,
    st.sampled_from(['corner', 'part of the picture', 'edge', 'side', 'quadrant of the picture', 'third']),
)
CLOCK = st.builds(
    "the mark at {}{}{} o'clock".format,
    st.integers(1, 12),
    st.sampled_from(['', ':00', ':15', ':30', ':59']),
    st.sampled_from(['', ' to 5', '-7']),
).filter(lambda text: text.count(':') == 0 or re.search(r'( to |-)', text) is None)
RELATION = st.builds(
    '{} {} {}'.format,
    st.sampled_from(['the cup', 'one dog', 'a vessel']),
    st.sampled_from(['left of', 'right of', 'above', 'below']),
    st.sampled_from(['the table', 'another one', 'the bright spot']),
)
SENTENCE = st.lists(PHRASE | CLOCK | RELATION, min_size=1, max_size=3).map('; '.join)


def directions(text: str) -> list[frozenset]:
    return [word.direction for word in find_direction_words(text)]


@STEADY
@given(text=SENTENCE, flip=FLIPS)
def test_a_flip_is_undone_by_itself(text, flip):
    new = rewrite(text, flip)
    assert rewrite(new, flip) == text
    assert directions(text)


@STEADY
@given(text=SENTENCE)
def test_flips_commute_and_are_half_a_turn_together(text):
    both = rewrite(rewrite(text, 'horizontal'), 'vertical')
    assert both == rewrite(rewrite(text, 'vertical'), 'horizontal') == rewrite(text, 'diagonal')
    assert both != text


@STEADY
@given(text=SENTENCE, first=ANY_TURN, second=ANY_TURN)
def test_two_turns_mean_what_one_does(text, first, second):
    """After a quarter turn the words may be others ("above", "to the left of"), but what they mean is the same."""
    together = compose_turns(first, second)
    once = text if together is None else rewrite(text, together)
    assert sorted(map(sorted, directions(rewrite(rewrite(text, first), second)))) == sorted(
        map(sorted, directions(once))
    )


@STEADY
@given(text=SENTENCE, turn=ANY_TURN)
def test_words_mean_the_turned_directions_in_their_order(text, turn):
    expected = [frozenset(turn_direction(one, turn) for one in found) for found in directions(text)]
    assert directions(rewrite(text, turn)) == expected


@STEADY
@given(text=SENTENCE, turn=ANY_TURN)
def test_case_is_kept(text, turn):
    new = rewrite(text, turn)
    assert rewrite(text.upper(), turn) == new.upper()
    assert rewrite(text[0].upper() + text[1:], turn) == new[0].upper() + new[1:]


@STEADY
@given(text=SENTENCE, turn=ANY_TURN)
def test_what_stands_between_is_kept(text, turn):
    """Punctuation and all words that name no direction stay, in their order."""

    def rest(sentence: str) -> str:
        pieces, end = [], 0
        for word in find_direction_words(sentence):
            pieces.append(sentence[end : word.start])
            end = word.end
        return '|'.join([*pieces, sentence[end:]])

    assert re.sub(r'\ban\b', 'a', rest(rewrite(text, turn))) == re.sub(r'\ban\b', 'a', rest(text))


@STEADY
@given(text=st.text(max_size=60), turn=ANY_TURN, laterality=st.sampled_from(['image', 'patient']))
def test_text_without_direction_words_is_unchanged(text, turn, laterality):
    assume(not find_direction_words(text))
    assert rewrite(text, turn, laterality) == text


SHREDS = st.sampled_from(
    [
        'left',
        'Right',
        'TOP',
        'lower',
        'of',
        'the',
        'lobe',
        'R',
        'RUL',
        "3 o'clock",
        '10:30',
        'position',
        'segment',
        'IV',
    ]
    + [
        'middle',
        'a',
        'an',
        'and',
        '-',
        ',',
        "'s",
        ' ',
        '\n',
        '\u00a0',
        'İ',
        'ß',
        '😀',
        '2-4',
        'most',
        'hand',
        'between',
    ]
)


@STEADY
@given(shreds=st.lists(SHREDS | st.text(max_size=3), max_size=8), glue=st.sampled_from([' ', '', '  ']), turn=ANY_TURN)
def test_any_text_is_rewritten_or_refused_by_a_word_of_it(shreds, glue, turn):
    text = glue.join(shreds)
    for word in find_direction_words(text):
        assert text[word.start : word.end] == word.word
    try:
        new = rewrite(text, turn)
    except DirectionWordError as error:
        refused = error
    else:
        assert len(directions(new)) >= len(directions(text))
        return
    assert refused.word in text
    assert refused.turn == turn


@pytest.mark.parametrize('first', TURNS)
@pytest.mark.parametrize('second', TURNS)
def test_angles_are_turned_by_the_group(first, second):
    angles = np.arange(720)
    both = compose_turns(first, second)
    one_by_one = [turn_angle(turn_angle(int(angle), first), second) for angle in angles]
    assert one_by_one == [angle if both is None else turn_angle(int(angle), both) for angle in angles]
    assert sorted(one_by_one) == list(angles)


@pytest.mark.parametrize('turn', TURNS)
def test_angles_are_those_of_the_turned_picture(turn):
    """A picture with one bright pixel at each of the four sides, turned by NumPy."""
    made = dict(
        horizontal=lambda x: x[:, ::-1],
        vertical=lambda x: x[::-1],
        diagonal=lambda x: x[::-1, ::-1],
        rot90=np.rot90,
        rot270=lambda x: np.rot90(x, 3),
        transpose=lambda x: x.T,
        antitranspose=lambda x: x[::-1, ::-1].T,
    )[turn]
    places = dict(upper=(0, 1), right=(1, 2), lower=(2, 1), left=(1, 0))
    for direction, place in places.items():
        picture = np.zeros((3, 3))
        picture[place] = 1
        assert made(picture)[places[turn_direction(direction, turn)]] == 1
        assert ANGLES[turn_direction(direction, turn)] == turn_angle(ANGLES[direction], turn)


TIME = st.builds('{}{}'.format, st.integers(1, 12), st.sampled_from(['', ':00', ':07', ':30', ':45']))


@STEADY
@given(words=TIME.map("{} o'clock".format) | st.builds("{} to {} o'clock".format, TIME, TIME), turn=ANY_TURN)
def test_clock_positions_come_back(words, turn):
    assume(turn in ('horizontal', 'vertical', 'diagonal') or ':' not in words)
    assert turn_clock(turn_clock(words, turn), inverse_turn(turn)) == words


@STEADY
@given(start=st.integers(0, 11), span=st.integers(1, 11), turn=ANY_TURN)
def test_a_range_still_runs_clockwise_over_as_many_hours(start, span, turn):
    new = turn_clock(f"{start or 12} to {(start + span) % 12 or 12} o'clock", turn)
    first, last = (int(hour) % 12 for hour in re.findall(r'\d+', new))
    assert (last - first) % 12 == span
    before, after = start * 60, (start + span) % 12 * 60
    expected = (after, before) if turn in MIRRORS else (before, after)
    assert (first * 60, last * 60) == tuple(turn_angle(angle, turn) for angle in expected)
