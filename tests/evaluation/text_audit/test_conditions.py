"""Conditions: their options, and their choice by name."""

import pytest
from mmengine.config import Config

from mmseg_textseg.datasets.partial_text import PartialText
from mmseg_textseg.evaluation.text_audit import AuditError, make_conditions, partial_options, select


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


def test_the_configs_own_attributes_and_fields(tmp_path):
    """Of a file the content counts, so that a changed one is another run."""
    (tmp_path / 'wording.json').write_text('{"grade": "grade {}", "size": {"as": "adjective", "phrase": "{}"}}')
    given = dict(keep=0.5, wording=str(tmp_path / 'wording.json'), fields=['state', 'place'])
    cfg = Config(dict(test_dataloader=dict(dataset=dict(type='TextSegDataset', ann_file='x', partial_text=given))))
    wording = {'grade': {'as': 'detail', 'phrase': 'grade {}'}, 'size': {'as': 'adjective', 'phrase': '{}'}}
    assert partial_options(cfg, 'test') == dict(fields=['state', 'place'], wording=wording)
    assert partial_options(cfg, 'val') == {}
    names = [one.name for one in make_conditions(partial_options(cfg, 'test')) if one.kind == 'without']
    assert names[:4] == ['without:grade', 'without:size', 'without:state', 'without:place']


def test_choice_by_name():
    conditions = make_conditions()
    assert [one.name for one in select(conditions, ['shuffled', 'empty'])] == ['full', 'empty', 'shuffled']
    names = [one.name for one in select(conditions, ['without'])]
    assert names == ['full', *(one.name for one in conditions if one.kind == 'without')]
    assert [one.name for one in select(conditions, ['without:side'])] == ['full', 'without:side']
    with pytest.raises(AuditError, match='no condition emty; known: full, half'):
        select(conditions, ['emty'])
