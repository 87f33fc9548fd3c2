"""Contradict: sentences that say the opposite, by hand."""

import pytest

from mmseg_textseg.datasets.contradiction import Contradict, opposite_sides


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('The dark lesion in the left lobe.', 'The bright lesion in the right lobe.'),
        ('The largest lesion.', 'The smallest lesion.'),
        ('The upper small lesion in the right lobe.', 'The lower large lesion in the left lobe.'),
        (
            'One small circle-shaped benign tumor at the top right in the breast ultrasound image.',
            'One large square-shaped malignant tumor at the bottom left in the breast ultrasound image.',
        ),
        ('A round lesion.', 'An irregular lesion.'),
        ('An irregular lesion.', 'A round lesion.'),
        ('A lesion in an upper segment.', 'A lesion in a lower segment.'),
        ('Opacity in the RUL.', 'Opacity in the LLL.'),
        ("A lesion at 2 o'clock of the breast.", "A lesion at 8 o'clock of the breast."),
        ('The nuclei density in the lower left is high.', 'The nuclei density in the upper right is high.'),
        ('The nuclei are sparsely distributed.', 'The nuclei are densely distributed.'),
        (
            'A cyst in segment VI of the liver, with irregular shape, clear boundary, no enhancement.',
            'A metastasis in segment III of the liver, with round shape, blurred boundary, homogeneous enhancement.',
        ),
        # A middle lobe has no left counterpart; upper and lower have.
        (
            'Nodules in the right middle lobe and the upper lobe.',
            'Nodules in the right middle lobe and the lower lobe.',
        ),
        # Both sides are named before and after.
        ('Infection, all left lung and all right lung.', 'Infection, all left lung and all right lung.'),
        ('Infection, upper left lung and upper right lung.', 'Infection, lower right lung and lower left lung.'),
        # The same words in the end, and another meaning.
        ('The right one is left of it.', 'The left one is right of it.'),
        # No word to contradict, or only a part of one.
        ('No tumor in the breast ultrasound image.', 'No tumor in the breast ultrasound image.'),
        ('Enlarged, roundish, nuclear.', 'Enlarged, roundish, nuclear.'),
        ('', ''),
    ],
)
def test_by_hand(text, expected):
    assert Contradict()(text) == expected


def test_twice_is_the_same_where_words_come_in_pairs():
    text = 'The largest dark lesion in the lower left part of the picture.'
    assert Contradict()(text) != text
    assert Contradict()(Contradict()(text)) == text


def test_sides_alone_and_words_of_ones_own():
    assert opposite_sides('The largest lesion in the left lobe.') == 'The largest lesion in the right lobe.'
    own = Contradict(lexicon=dict(opposites=[['hot', 'cold']]))
    assert own('The HOT large lesion on the left.') == 'The COLD large lesion on the right.'
