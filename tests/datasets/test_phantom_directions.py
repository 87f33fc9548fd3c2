"""Rewritten sentences of the phantom, checked by the rules that made them.

A slice is turned, its lesions are measured anew, and the generator writes all sentences that it knows for them. A
rewritten sentence must be one of these, and fit by the generator's own proof the lesion that it named before.
"""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mmseg_textseg.datasets.direction_words import DirectionWordError, rewrite
from mmseg_textseg.datasets.phantom import Lesion, expressions, make_slice
from mmseg_textseg.datasets.transforms.directions import turn_array
from mmseg_textseg.datasets.turns import QUARTER_TURNS, TURNS

SIZE = 96
SWAPS_SIDES = ('horizontal', 'diagonal')
# The generator has no words for left and right of the picture: after a quarter turn the picture is read with rows and
# columns exchanged. 'left lobe' is not of the picture.
ON_ITS_SIDE = dict(leftmost='uppermost', rightmost='lowermost', left='upper', right='lower')
LATERALITIES = ('image', 'patient')


class OtherSide(Lesion):
    """A lesion in a liver whose lobes have exchanged names; its segments have none."""

    @property
    def side(self):
        return {'left': 'right', 'right': 'left'}[super().side]

    @property
    def left_share(self):
        return 1 - super().left_share


def measured(lesion, turn, laterality):
    """The lesion of the turned slice; after a quarter turn with rows and columns exchanged."""
    mask, ramp = (turn_array(array, turn) for array in (lesion.mask, np.array([[0, 0], [1, 1]])))
    if turn in QUARTER_TURNS:
        mask, ramp = mask.T, ramp.T
    rows, columns = np.nonzero(mask)
    center = ((columns.mean() + 0.5) / SIZE, (rows.mean() + 0.5) / SIZE)
    height = -lesion.height if ramp[0, 0] else lesion.height
    new = replace(lesion, mask=mask, center=center, height=height)
    if laterality == 'image' and turn in SWAPS_SIDES:
        new.__class__ = OtherSide
    return new


def read_on_its_side(text):
    """A sentence about a picture as one about its transpose."""
    return re.sub(rf'\b({"|".join(ON_ITS_SIDE)})\b(?! lobe)', lambda match: ON_ITS_SIDE[match[0]], text)


def known(lesions, easy):
    """All sentences of the generator for some lesions: text -> Expression."""
    sources = (expressions._easy,) if easy else (expressions._full, expressions._partial, expressions._relational)
    return {e.text: e for lesion in lesions for source in sources for e in source(lesion)}


def slices(count, difficulty):
    for seed in range(count):
        level = 0.06 + (0.39 if difficulty == 'easy' else 0.8) * seed / count
        parts = np.random.SeedSequence([seed, 7]).spawn(2)
        yield make_slice(*parts, level, SIZE, (2, 4), difficulty)[1:3]


def rewritten(text, turn, laterality):
    """The sentence after the turn, or None if it is refused for a good reason."""
    try:
        return rewrite(text, turn, laterality)
    except DirectionWordError as error:
        if laterality == 'image' and ('segment' in error.word or ('lobe' in text and turn in QUARTER_TURNS)):
            return None
        raise


def check(count, difficulty):
    """Number of sentences (written anew, left as they were, refused) for each turn and laterality."""
    easy, counts = difficulty == 'easy', Counter()
    for lesions, told in slices(count, difficulty):
        for turn in TURNS:
            for laterality in ('image', 'patient'):
                mirrored = [measured(lesion, turn, laterality) for lesion in lesions]
                grammar = known(mirrored, easy)
                for index, sentences in enumerate(told):
                    for expression in sentences:
                        where = f'{turn}, {laterality}: {expression.text}'
                        text = rewritten(expression.text, turn, laterality)
                        how = 'refused' if text is None else 'same' if text == expression.text else 'rewritten'
                        counts[laterality, turn, how] += 1
                        if text is None:
                            continue
                        text = read_on_its_side(text) if turn in QUARTER_TURNS else text
                        assert text in grammar, f'{where} -> {text}: not a sentence for these lesions'
                        fits = expressions.unique_match(grammar[text], mirrored, easy)
                        assert fits == index, f'{where} -> {text}: fits lesion {fits}, not {index}'
    return counts


def falsified(made, turn):
    """Share of the sentences without a segment that are not of their lesion any more if the text stays as it was."""
    fits = []
    for lesions, told in made:
        mirrored = [measured(lesion, turn, 'image') for lesion in lesions]
        for index, sentences in enumerate(told):
            plain = [e for e in sentences if 'segment' not in dict(e.attributes)]
            fits += [expressions.unique_match(e, mirrored, easy=True) == index for e in plain]
    return 1 - np.mean(fits)


@pytest.mark.parametrize('difficulty', ['easy', 'default'])
@pytest.mark.parametrize(
    'count', [pytest.param(25, id='25 slices'), pytest.param(500, id='500 slices', marks=pytest.mark.slow)]
)
def test_every_rewritten_sentence_fits_the_turned_lesion_and_no_other(count, difficulty):
    counts = check(count, difficulty)
    print(difficulty, count, dict(sorted(counts.items())))
    for turn in TURNS:
        assert counts['patient', turn, 'refused'] == 0
        told = [sum(counts[which, turn, how] for how in ('same', 'rewritten', 'refused')) for which in LATERALITIES]
        assert told[0] == told[1] > 4 * count
        if difficulty == 'easy' and turn not in QUARTER_TURNS:
            assert counts['image', turn, 'refused'] == 0
            assert counts['image', turn, 'rewritten'] > count


def test_the_check_finds_sentences_that_were_not_rewritten():
    made = list(slices(25, 'easy'))
    for turn in ('horizontal', 'vertical', 'diagonal'):
        assert falsified(made, turn) > 0.1
