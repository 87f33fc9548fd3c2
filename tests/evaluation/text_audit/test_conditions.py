"""Conditions: their options, and their choice by name."""

import pytest

from mmseg_textseg.datasets.partial_text import PartialText
from mmseg_textseg.evaluation.text_audit import AuditError, make_conditions, select


def test_shares_and_attributes_are_those_that_the_names_say():
    """Of six attributes a half keeps three, a quarter two (floor(6 share + 1/2))."""
    row = dict(
        segment='VI', diameter_mm=7.5, shape='round', boundary='clear', enhancement='ring enhancement', type='cyst'
    )
    text = (
        'A cyst in segment VI of the liver, with a diameter of 7.5 mm, round shape, clear boundary, ring enhancement.'
    )
    found = {condition.name: condition.options for condition in make_conditions()}

    def kept(name):
        short = PartialText(**found[name]['partial_text']).shorten(text, row, 'x')[0].lower()
        return {key for key, value in row.items() if str(value).lower() in short}

    assert (len(kept('half')), len(kept('quarter'))) == (3, 2)
    for name in row:
        assert kept(f'without:{name}') == set(row) - {name}
    named = make_conditions(partial=dict(fields=['state', 'place'], wording=dict(type='{}', grade='grade {}')))
    names = [condition.name for condition in named if condition.kind == 'without']
    assert names[:5] == ['without:type', 'without:grade', 'without:state', 'without:place', 'without:side']


def test_choice_by_name():
    conditions = make_conditions()
    assert [one.name for one in select(conditions, ['shuffled', 'empty'])] == ['full', 'empty', 'shuffled']
    names = [one.name for one in select(conditions, ['without'])]
    assert names == ['full', *(one.name for one in conditions if one.kind == 'without')]
    assert [one.name for one in select(conditions, ['without:side'])] == ['full', 'without:side']
    with pytest.raises(AuditError, match='no condition emty; known: full, half'):
        select(conditions, ['emty'])
