"""AttributeWords: what a sentence says, and the sentence without it; all worked out by hand."""

import pytest

from mmseg_textseg.datasets.attribute_words import AttributeWords
from mmseg_textseg.datasets.text_lexicon import load_lexicon

WORDS = AttributeWords(load_lexicon())
DARK = 'The dark lesion in the left lobe.'
BUSI = 'One small circle-shaped benign tumor at the top right in the breast ultrasound image.'
MANY = 'Five small, medium oval-shaped benign tumors at the top right, top, center in the breast ultrasound image.'
LVIT = 'Bilateral pulmonary infection, two infected areas, upper left lung and upper right lung.'
FULL = 'A cyst in the left lobe of the liver, with a diameter of 7.5 mm, a round shape and a clear boundary.'
LIST = 'A cyst in segment VI of the liver, with irregular shape, clear boundary, and no enhancement.'


@pytest.mark.parametrize(
    ('text', 'names'),
    [
        (DARK, ['brightness', 'side']),
        (BUSI, ['number', 'size', 'shape', 'type', 'height', 'side']),
        (MANY, ['number', 'size', 'shape', 'type', 'height', 'side', 'center']),
        (LVIT, ['number', 'height', 'side']),
        ('The smallest lesion.', ['size']),
        ('The nuclei are sparsely distributed.', ['spread']),
        ('No tumor in the breast ultrasound image.', []),
        ('The lesion left of the largest vessel.', ['size']),  # a relation is no attribute
        ('The nuclear smallpox.', []),  # whole words
    ],
)
def test_find_in_the_order_of_the_sentence(text, names):
    found = WORDS.find(text)
    assert list(found) == names
    assert all(text[start:end].strip() for places in found.values() for start, end in places)


@pytest.mark.parametrize(
    ('text', 'name', 'expected'),
    [
        (DARK, 'brightness', 'The lesion in the left lobe.'),
        (DARK, 'side', 'The dark lesion.'),
        ('The lesion in the upper left lobe.', 'height', 'The lesion in the left lobe.'),
        ('The lesion in the upper left lobe.', 'side', 'The lesion in the upper lobe.'),
        ('The lesion in the upper left lobe.', 'place', 'The lesion.'),
        ('The upper lesion in the right lobe.', 'height', 'The lesion in the right lobe.'),
        (BUSI, 'number', 'Small circle-shaped benign tumor at the top right in the breast ultrasound image.'),
        (BUSI, 'shape', 'One small benign tumor at the top right in the breast ultrasound image.'),
        (BUSI, 'side', 'One small circle-shaped benign tumor at the top in the breast ultrasound image.'),
        (BUSI, 'place', 'One small circle-shaped benign tumor in the breast ultrasound image.'),
        (MANY, 'size', 'Five oval-shaped benign tumors at the top right, top, center in the breast ultrasound image.'),
        (
            MANY,
            'center',
            'Five small, medium oval-shaped benign tumors at the top right, top in the breast ultrasound image.',
        ),
        (
            MANY,
            'height',
            'Five small, medium oval-shaped benign tumors at the right, center in the breast ultrasound image.',
        ),
        (LVIT, 'number', 'Pulmonary infection, infected areas, upper left lung and upper right lung.'),
        (LVIT, 'height', 'Bilateral pulmonary infection, two infected areas, left lung and right lung.'),
        (FULL, 'side', 'A cyst with a diameter of 7.5 mm, a round shape and a clear boundary.'),
        (FULL, 'shape', 'A cyst in the left lobe of the liver, with a diameter of 7.5 mm, a clear boundary.'),
        (FULL, 'boundary', 'A cyst in the left lobe of the liver, with a diameter of 7.5 mm, a round shape.'),
        (LIST, 'shape', 'A cyst in segment VI of the liver, with clear boundary, and no enhancement.'),
        (LIST, 'boundary', 'A cyst in segment VI of the liver, with irregular shape, and no enhancement.'),
        ('A lesion with a clear boundary.', 'boundary', 'A lesion.'),
        ('A lesion with a round shape and a clear boundary.', 'shape', 'A lesion with a clear boundary.'),
        ('An oval lesion.', 'shape', 'A lesion.'),
        ('A large oval lesion.', 'size', 'An oval lesion.'),
        ('The largest of the two lesions.', 'size', 'One of the two lesions.'),
        ('The nuclei density in the upper left is high.', 'place', 'The nuclei density is high.'),
        ('man on left', 'side', 'man'),
        ('Left.', 'side', 'Left.'),  # nothing would remain
        (DARK, 'size', DARK),
    ],
)
def test_leave_out(text, name, expected):
    assert WORDS.leave_out(text, {name}) == expected


def test_several_at_once_and_words_of_ones_own():
    assert (
        WORDS.leave_out(BUSI, {'number', 'size', 'shape', 'type', 'place'}) == 'Tumor in the breast ultrasound image.'
    )
    own = AttributeWords(load_lexicon(dict(attributes={'colour': ['blue', 'pale *ish']})))
    assert own.names == ('side', 'height', 'center', 'place', 'colour')
    assert own.leave_out('The pale greenish lesion beside the Blue one.', {'colour'}) == 'The lesion beside the one.'
