"""An audit of models whose use of the text is known by construction: every figure is worked out by hand."""

import csv
import json
import math
from statistics import fmean

import pytest

from mmseg_textseg.evaluation import EvaluationError
from mmseg_textseg.evaluation.text_audit import (
    AuditError,
    AuditOptions,
    as_json,
    as_markdown,
    audit_text,
    draw,
    make_conditions,
    select,
    verdict,
    write_items,
)
from mmseg_textseg.evaluation.text_audit.conditions import NEUTRAL

CASES = 12
SIDES = ('left', 'right')


def both(side, case):
    """Dice of a mask of both regions with the one of a side, from their columns: 4 and case number + 5."""
    own, other = (4, 5 + case) if side == 'left' else (5 + case, 4)
    return 2 * own / (own + own + other)


BLIND = fmean(both(side, case) for case in range(CASES) for side in SIDES)


def audit(place, hears, names=None, told=None, options=None, **dataset):
    conditions = make_conditions() if names is None else select(make_conditions(), names)
    told, options = [] if told is None else told, options or AuditOptions()
    return audit_text(place.config(hears, **dataset), place.checkpoint, conditions, place.out, options, told.append)


def effects(found):
    return {effect.condition.name: effect for effect in found.effects}


def test_a_model_that_ignores_the_text(place):
    found = audit(place, 'nothing')
    assert found.full.value == pytest.approx(BLIND, abs=1e-12)
    assert (found.items, found.groups, found.noun) == (24, 12, 'case')
    # Easy sentences say size and side; nothing else can be left out.
    assert list(effects(found)) == [
        *('half', 'quarter', 'empty', 'constant', 'shuffled', 'contradicted', 'reordered', 'paraphrased'),
        *('without:side', 'without:place', 'without:size'),
    ]
    for effect in found.effects:
        assert effect.difference[:3] == (0, 0, 0)
        assert effect.dice == effect.full
        assert not effect.clear
    assert found.followed.own == pytest.approx(BLIND)
    told = verdict(found)
    assert told[0] == f'Full text: Dice {100 * BLIND:.1f} (95 % interval ' + told[0].split('interval ')[1]
    assert told[0].endswith('24 items of 12 cases.')
    assert told[2].startswith('No sign that the text is used: 0.0 of ')
    assert told[3].endswith('24 items: no sign that it is noticed.')
    assert told[4].endswith('the model does not follow the words.')
    assert told[-1] == 'No difference told apart from 0: without side, without place, without size.'
    assert not any('explains' in sentence for sentence in told)


def test_a_model_that_hears_the_side_alone(place):
    found = audit(place, 'side')
    assert found.full.value == 1
    by_name = effects(found)

    # Without words, or without the side, it marks both regions.
    for name in ('empty', 'without:side', 'without:place'):
        assert by_name[name].changed == 24
        assert by_name[name].dice == pytest.approx(BLIND, abs=1e-12)
        assert by_name[name].difference.value == pytest.approx(BLIND - 1, abs=1e-12)
        assert by_name[name].difference.low < BLIND - 1 < by_name[name].difference.high < 0
        assert by_name[name].clear
    # What it does not hear costs nothing, and neither does another order.
    for name in ('without:size', 'reordered', 'paraphrased'):
        assert by_name[name].changed == 24
        assert by_name[name].difference[:3] == (0, 0, 0)
    assert by_name['reordered'].words.unknown == 0
    # The most frequent sentence, of two as frequent ones the first by letter, is right for half of the items, whose
    # sentence it does not change; and wrong for the others.
    assert by_name['constant'].changed == 12
    assert (by_name['constant'].full, by_name['constant'].dice) == (1, 0)
    # Another image's sentence is the same or the wrong one.
    assert 0 < by_name['shuffled'].changed < 24
    assert by_name['shuffled'].dice == 0
    assert by_name['contradicted'].dice == 0
    assert vars(found.followed) == dict(items=24, own=0, other=1)

    told = verdict(found)
    blind = f'{100 * BLIND:.1f}'
    assert told[0] == 'Full text: Dice 100.0 (95 % interval 100.0 to 100.0), 24 items of 12 cases.'
    assert told[1] == (
        f'Image alone gives {blind}: empty text, the best of the text-blind conditions; one sentence for all 0.0 (full '
        f"text 100.0, 12 items), another image's sentence 0.0 (full text 100.0, {by_name['shuffled'].changed} items)."
    )
    low, high = (100 * -by_name['empty'].difference[i] for i in (2, 1))
    assert told[2].startswith(
        f'Text explains {100 - 100 * BLIND:.1f} of 100.0 Dice (95 % interval {low:.1f} to {high:.1f}), 24 items. That '
    )
    assert told[3] == (
        'Contradicted text: 0.0 where the true sentence gives 100.0, difference -100.0 (-100.0 to -100.0), 24 items.'
    )
    assert '24 contradicted sentences' in told[4]
    assert told[4].endswith(
        'a Dice of 100.0 with that, and of 0.0 with what the true sentence means: the model follows the words.'
    )
    # 'In the left lobe the little mass.': 'little' and 'mass' of seven words and a stop are not in the vocabulary.
    assert told[5] == (
        'Paraphrased text: +0.0 (+0.0 to +0.0), 24 items. 25.0 % of its words are unknown to the vocabulary or fall to '
        'pieces, 0.0 % of the full text: a loss may come of that.'
    )
    assert told[6].startswith(
        f'Attributes left out one at a time; most is lost without side -{100 - 100 * BLIND:.1f} ('
    )
    assert told[7] == 'No difference told apart from 0: without size.'


def test_a_model_that_hears_the_size_alone(place):
    by_name = effects(audit(place, 'size', ['without', 'half']))
    assert by_name['without:side'].difference.value == 0
    assert by_name['without:size'].dice == pytest.approx(BLIND, abs=1e-12)
    # Half of two attributes is one: the size or the side, by sample.
    rows = read(place.out / 'conditions', 'half')
    kept = {row['sample_id']: 'large' in row['text'] or 'small' in row['text'] for row in rows}
    assert 0 < sum(kept.values()) < 24
    for row in rows:
        side = 'left' if row['sample_id'].split('_')[1].startswith('left') else 'right'
        wanted = 1 if kept[row['sample_id']] else both(side, int(row['image'].split('.')[0]))
        assert float(row['dice']) == pytest.approx(wanted, abs=1e-12)


def read(folder, name):
    (path,) = folder.glob(f'{name}-*.csv')
    with path.open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def test_a_text_that_misleads(place):
    """Sentences say right where the truth is on the left: without them half of what is marked is right."""
    rows = [row for row in json.loads((place.data / 'test.json').read_text()) if 'right' in row['expression']]
    for row in rows:
        row['mask'] = row['mask'].replace('right', 'left')
    (place.data / 'test.json').write_text(json.dumps(rows))
    found = audit(place, 'side', ['empty'])
    assert found.full.value == 0
    assert effects(found)['empty'].difference.value == pytest.approx(fmean(both('left', i) for i in range(CASES)))
    assert verdict(found)[2].startswith('The text does harm: without it Dice is ')


def test_a_second_run_asks_the_model_nothing_and_says_the_same(place):
    names = ['empty', 'shuffled', 'without']
    first = audit(place, 'side', names)
    calls = place.calls()
    assert calls > 0
    again = audit(place, 'side', names)
    assert place.calls() == calls
    assert as_json(again, {}) == as_json(first, {})
    assert again.scored == first.scored
    # One condition lost: only that one is run.
    (lost,) = (place.out / 'conditions').glob('empty-*.csv')
    lost.unlink()
    audit(place, 'side', names)
    assert place.calls() == calls + math.ceil(24 / 5)


def test_other_models_data_and_draws_are_other_runs(place):
    def files():
        return set((place.out / 'conditions').iterdir())

    audit(place, 'side', ['empty'])
    known = files()
    audit(place, 'size', ['empty'])  # another model
    assert len(files()) == len(known) + 2
    known = files()
    audit(place, 'side', ['empty'], options=AuditOptions(limit=6))  # other items
    assert len(files()) == len(known) + 2
    known = files()
    table = place.data / 'test.json'
    table.write_text(table.read_text().replace('small', 'tiny'))  # another table
    audit(place, 'side', ['empty'])
    assert len(files()) == len(known) + 2


def test_words_of_ones_own_are_another_run(place):
    """Without opposites of sizes a model that hears sizes alone is not contradicted."""
    conditions = [
        select(make_conditions(lexicon=own), ['contradicted']) for own in (None, dict(opposites=[['a', 'b']]))
    ]
    cfg = place.config('size')
    by_default, sides_alone = (effects(audit_text(cfg, place.checkpoint, one, place.out)) for one in conditions)
    assert by_default['contradicted'].dice == 0
    assert sides_alone['contradicted'].dice == 1, 'the size is as it was'
    assert len(list((place.out / 'conditions').glob('contradicted-*.csv'))) == 2


def test_a_limit_takes_whole_images_and_the_same_in_every_condition(place):
    found = audit(place, 'side', ['empty', 'shuffled'], options=AuditOptions(limit=7, seed=3))
    ids = {one.sample_id for one in found.scored['full']}
    assert len(ids) == 6
    assert len({one.image for one in found.scored['full']}) == 3
    assert {one.sample_id for one in found.scored['empty']} == ids
    assert {one.sample_id for one in found.scored['shuffled']} <= ids
    other = audit(place, 'side', ['empty'], options=AuditOptions(limit=7, seed=4))
    assert {one.sample_id for one in other.scored['full']} != ids
    assert len(audit(place, 'side', ['empty'], options=AuditOptions(limit=1)).scored['full']) == 2, 'one whole image'
    assert verdict(found)[-1] == 'Only 3 cases: intervals are too narrow then.'


@pytest.mark.parametrize('control', [dict(shuffle_text=True), dict(partial_text=0.5), dict(change_text='empty')])
def test_the_configs_own_controls_do_not_reach_the_full_text(place, control):
    found = audit(place, 'side', ['empty'], **control)
    assert {one.text for one in found.scored['full']} == set(place.sentences.values())
    assert set(NEUTRAL) >= set(control)


def test_the_configs_metric_decides_about_pixels(place):
    cfg = place.config('side')
    cfg.test_evaluator = [dict(type='TextSegMetric', ignore_index=1)]  # all of the truth's foreground
    conditions = select(make_conditions(), ['empty'])
    found = audit_text(cfg, place.checkpoint, conditions, place.out)
    assert found.full.value == 1, 'nothing is left in either mask'
    assert effects(found)['empty'].dice == 0, 'the other region is'
    cfg.test_evaluator = dict(type='TextSegMetric', threshold=0.5)
    with pytest.raises(EvaluationError, match=r'threshold=0\.5'):  # the made-up model gives no probabilities
        audit_text(cfg, place.checkpoint, conditions, place.out)


def test_several_sentences_an_item(place):
    rows = json.loads((place.data / 'test.json').read_text())
    for row in rows:
        row['expression'] = [row['expression'], 'The lesion.']
    (place.data / 'test.json').write_text(json.dumps(rows))
    found = audit(place, 'side', ['contradicted'], expressions='group')  # PickText takes the first, not one at random
    assert found.full.value == 1
    assert effects(found)['contradicted'].dice == 0


def test_what_a_dataset_does_not_allow_is_said(place):
    rows = json.loads((place.data / 'test.json').read_text())
    (place.data / 'test.json').write_text(json.dumps(rows[:2]))
    told = []
    found = audit(place, 'side', ['shuffled', 'empty'], told)
    assert 'cannot be shuffled' in found.absent['shuffled']
    assert any(line.startswith("another image's sentence: not possible: texts cannot be shuffled") for line in told)
    assert effects(found)['empty'].difference[1:3] == pytest.approx((math.nan, math.nan), nan_ok=True), 'one case'
    page = as_markdown(found, 'x')
    assert 'Not possible with this dataset: shuffled: texts cannot be shuffled' in page
    assert as_json(found, {})['conditions'][0]['low'] is None


def test_items_of_joined_datasets_need_names_of_their_own(place):
    cfg = place.config('side')
    part = cfg.test_dataloader.dataset
    cfg.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[part, part])
    with pytest.raises(AuditError, match='sample_ids are not unique'):
        audit_text(cfg, place.checkpoint, make_conditions()[:1], place.out)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(type='BaseSegDataset'), 'BaseSegDataset is no TextSegDataset'),
        (dict(pipeline=[dict(type='LoadImageFromFile')]), 'has no TokenizeText'),
    ],
)
def test_what_cannot_be_audited(place, change, message):
    with pytest.raises(AuditError, match=message):
        audit(place, 'side', ['empty'], **change)


def test_other_splits_and_devices(place):
    with pytest.raises(AuditError, match='no val_dataloader'):
        audit(place, 'side', ['empty'], options=AuditOptions(split='val'))
    with pytest.raises(AuditError, match="device 'cuda:9' cannot be used"):
        audit(place, 'side', ['empty'], options=AuditOptions(device='cuda:9'))


def test_reports(place):
    found = audit(place, 'side')
    conditions = make_conditions()
    place.out.mkdir(exist_ok=True)
    write_items(found, conditions, place.out / 'items.csv')
    with (place.out / 'items.csv').open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:6] == ['sample_id', 'image', 'group', 'expression', 'full', 'half']
    assert 'without:shape' not in rows[0]
    assert [row['expression'] for row in rows] == [place.sentences[side] for _ in range(CASES) for side in SIDES]
    assert [row['group'] for row in rows[:3]] == ['case c0', 'case c0', 'case c1']
    assert fmean(float(row['empty']) for row in rows) == pytest.approx(BLIND, abs=1e-6)
    # The most frequent sentence is the right one's: unchanged there.
    assert [row['constant'] for row in rows[:2]] == ['0.000000', '']

    page = as_markdown(found, 'made up')
    assert page.startswith('# Is the text used? made up\n\n- Full text: Dice 100.0')
    (row,) = (line for line in page.splitlines() if line.startswith('| empty text'))
    low, high = (100 * effects(found)['empty'].difference[i] for i in (1, 2))
    assert row == (
        f'| empty text | 24 | 100.0 | {100 * BLIND:.1f} | {100 * BLIND - 100:.1f} | {low:+.1f} to {high:+.1f} | 0.0 | '
        '0.0 |'
    )
    (row,) = (line for line in page.splitlines() if line.startswith('| paraphrased'))
    assert row.endswith('| 25.0 | 0.0 |')

    told = json.loads(json.dumps(as_json(found, dict(name='made_up')), allow_nan=False))
    assert (told['name'], told['items'], told['groups'], told['grouped_by']) == ('made_up', 24, 12, 'case')
    empty = next(one for one in told['conditions'] if one['name'] == 'empty')
    assert empty['difference'] == pytest.approx(BLIND - 1, abs=1e-12)
    assert empty['full_iou'] == 1
    assert empty['iou'] == pytest.approx(fmean(d / (2 - d) for d in (both(s, c) for s in SIDES for c in range(CASES))))
    assert told['followed'] == dict(items=24, own=0, other=1)
    assert told['verdict'] == verdict(found)

    picture = draw(found, 'made up')
    assert picture.startswith(b'\x89PNG')
