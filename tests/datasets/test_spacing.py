"""Millimetres between pixels from a sample's metainfo or its table."""

import re

import pytest

from mmseg_textseg.datasets.medical import MedicalImageError
from mmseg_textseg.datasets.spacing import pixel_spacing


@pytest.mark.parametrize(
    ('sample', 'expected'),
    [
        ({}, None),
        (dict(spacing=(0.5, 2)), (0.5, 2.0)),
        (dict(spacing=(0.5, 2), attributes=dict(spacing_mm=9)), (0.5, 2.0)),
        (dict(spacing=None, attributes=dict(spacing_mm=0.7)), (0.7, 0.7)),
        (dict(attributes=dict(pixel_spacing_mm=[0.7, 0.8])), (0.7, 0.8)),
        (dict(attributes=dict(pixel_spacing_mm=None, spacing_mm='0.7')), (0.7, 0.7)),
        (dict(attributes=dict(spacing_mm='[0.7, 0.8]')), (0.7, 0.8)),
        (dict(attributes=dict(spacing_mm='0.7;0.8')), (0.7, 0.8)),
        (dict(attributes=dict(spacing_mm='', side='left')), None),
        (dict(attributes=None), None),
    ],
)
def test_where_it_is_found(sample, expected):
    assert pixel_spacing(sample) == expected


@pytest.mark.parametrize('value', ['unknown', 0, '-1', [0.7, 0.7, 5.0], float('nan'), '0.7 x 0.8', {}])
def test_what_is_no_spacing_is_an_error(value):
    said = f'case-3: spacing_mm is {value!r}: expected millimetres from pixel to pixel'
    with pytest.raises(MedicalImageError, match=re.escape(said)):
        pixel_spacing(dict(sample_id='case-3', attributes=dict(spacing_mm=value)))
