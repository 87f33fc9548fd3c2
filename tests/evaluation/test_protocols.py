"""Every protocol against an implementation of others, or one written anew from the papers, on 50 pairs of masks."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, jaccard_score, precision_recall_fscore_support
from torchmetrics.classification import (
    BinaryAccuracy,
    BinaryF1Score,
    BinaryJaccardIndex,
    BinaryPrecision,
    BinaryRecall,
    MulticlassJaccardIndex,
)

from mmseg_textseg.evaluation import PROTOCOLS, Counts
from mmseg_textseg.evaluation.protocols import Item

EXACT = dict(rel=0, abs=1e-6, nan_ok=True)
counts = st.builds(Counts, *[st.integers(0, 50)] * 4)


def kept(pred, truth):
    """Flat labels of prediction and truth where the truth is known."""
    known = truth != 255
    return pred[known], truth[known]


def by_sklearn(pred, truth, empty):
    """Values of one item; ``empty`` where both masks are empty."""
    p, t = kept(pred, truth)
    nothing, full = not p.any() and not t.any(), p.all() and t.all()
    if nothing and (math.isnan(empty) or not len(t)):  # scikit-learn takes neither
        return dict.fromkeys(('dice', 'iou', 'precision', 'recall', 'acc'), empty) | dict(miou=(empty + 1) / 2)
    options = dict(labels=[0, 1], average=None, zero_division=empty if nothing else float(full))
    precision, recall, dice, _ = precision_recall_fscore_support(t, p, **options)
    ious = jaccard_score(t, p, **options)
    foreground = dict(dice=dice[1], iou=ious[1], precision=precision[1], recall=recall[1])
    return dict(miou=ious.mean(), acc=accuracy_score(t, p), **foreground)


@pytest.fixture(params=['all known', 'some ignored'])
def masks(request, pairs, pairs_with_ignored):
    return pairs if request.param == 'all known' else pairs_with_ignored


def test_the_pairs_have_what_they_must(pairs):
    kinds = [(bool(pred.any()), bool(truth.any())) for pred, truth in pairs]
    assert len(kinds) == 50
    assert kinds.count((False, False)) >= 4
    assert kinds.count((False, True)) >= 5
    assert kinds.count((True, False)) >= 5
    ious = [(p & t).sum() / (p | t).sum() for p, t in pairs if p.any() and t.any()]
    assert all(any(low <= iou < low + 0.2 for iou in ious) for low in (0, 0.2, 0.5, 0.7))


@pytest.mark.parametrize(('empty', 'score'), [('one', 1.0), ('zero', 0.0), ('skip', math.nan)])
def test_lvit_and_two_class_against_scikit_learn(masks, evaluate, empty, score):
    found = evaluate(masks, protocol=['lvit', 'two-class'], empty=empty)
    rows = [by_sklearn(pred, truth, score) for pred, truth in masks]
    if empty == 'skip':
        rows = [row for row in rows if not math.isnan(row['dice'])]
        assert 40 < len(rows) < 50
    means = {name: np.mean([row[name] for row in rows]) for name in rows[0]}
    expected = {name: means[name] for name in ('dice', 'iou')}
    expected |= {f'two_class_{name}': means[name] for name in ('dice', 'miou', 'acc', 'precision', 'recall')}
    assert found == pytest.approx(expected, **EXACT)


def test_pooled_against_torchmetrics(masks, evaluate):
    """Fed an item at a time, as LanGuideMedSeg does."""
    theirs = dict(
        dice=BinaryF1Score(ignore_index=255),
        iou=BinaryJaccardIndex(ignore_index=255),
        miou=MulticlassJaccardIndex(2, average='macro', ignore_index=255),
        acc=BinaryAccuracy(ignore_index=255),
        precision=BinaryPrecision(ignore_index=255),
        recall=BinaryRecall(ignore_index=255),
    )
    for metric in theirs.values():
        for pred, truth in masks:
            metric.update(torch.from_numpy(pred), torch.from_numpy(truth))
    expected = {f'pooled_{name}': float(metric.compute()) for name, metric in theirs.items()}
    for empty in ('one', 'skip'):
        assert evaluate(masks, protocol='pooled', empty=empty) == pytest.approx(expected, **EXACT)


def test_ris_against_a_loop_over_sets_of_pixels(masks, evaluate):
    both, either, ious = 0, 0, []
    for pred, truth in masks:
        p = {place for place in np.ndindex(pred.shape) if pred[place] and truth[place] != 255}
        t = {place for place in np.ndindex(pred.shape) if truth[place] == 1}
        both, either = both + len(p & t), either + len(p | t)
        ious.append(len(p & t) / len(p | t) if p | t else 0)
    expected = dict(ris_miou=sum(ious) / 50, ris_oiou=both / either)
    for percent in (50, 60, 70, 80, 90):
        expected[f'ris_p{percent}'] = sum(iou >= percent / 100 for iou in ious) / 50
    assert len(set(expected.values())) == 7, 'each precision must differ'
    assert evaluate(masks, protocol='ris') == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize('least', [1, 60])
def test_gres_against_its_rules_on_masks(masks, evaluate, least):
    """Liu et al. 2023: no-target items are the positives of N-acc, true positives count as IoU 1 and nothing below."""
    totals, giou, right, wrong = np.zeros(2), [], [0, 0], [0, 0]
    for pred, truth in masks:
        p, t = (values == 1 for values in kept(pred, truth))
        if p.sum() < least:
            p = np.zeros_like(p)
        intersection, union = (p & t).sum(), (p | t).sum()
        if not t.any():
            right[0] += not p.any()
            wrong[0] += p.any()
            giou.append(0.0 if p.any() else 1.0)
            totals += (0, union if p.any() else 0)
        else:
            right[1] += p.any()
            wrong[1] += not p.any()
            giou.append(intersection / union)
            totals += (intersection, union)
    expected = dict(
        gres_giou=np.mean(giou),
        gres_ciou=totals[0] / totals[1],
        gres_n_acc=right[0] / (right[0] + wrong[0]),
        gres_t_acc=right[1] / (right[1] + wrong[1]),
    )
    assert evaluate(masks, protocol='gres', gres_min_pixels=least) == pytest.approx(expected, **EXACT)
    assert all(0 < value < 1 for value in expected.values())


def test_few_pixels_are_cleared_on_both_kinds_of_items():
    """20 pixels predicted: right to clear without a target, wrong with one, whose 30 are then all missed."""
    few = [
        Item(Counts(0, 20, 0, 80)),
        Item(Counts(15, 5, 15, 65)),
        Item(Counts(0, 0, 0, 100)),
        Item(Counts(40, 0, 0, 60)),
    ]
    values = {}
    for least in (1, 20, 21):
        protocol = PROTOCOLS['gres'](min_pixels=least)
        scores = protocol.of_set(few, [protocol.of_item(item) for item in few])
        values[least] = {name: (score.value, score.items) for name, score in scores.items()}
    assert values[1] == values[20]
    # Sums: 0 + 15 + 0 + 40 over 20 + 35 + 0 + 40.
    assert values[1] == dict(
        giou=(pytest.approx((0 + 15 / 35 + 1 + 1) / 4), 4),
        ciou=(pytest.approx(55 / 95), 4),
        n_acc=(pytest.approx(1 / 2), 2),
        t_acc=(pytest.approx(1), 2),
    )
    assert values[21] == dict(
        giou=(pytest.approx((1 + 0 + 1 + 1) / 4), 4),
        ciou=(pytest.approx(40 / 70), 4),
        n_acc=(pytest.approx(1), 2),
        t_acc=(pytest.approx(1 / 2), 2),
    )


def test_precision_at_a_threshold_includes_it(evaluate):
    exactly = [([[1] * over + [0] * (10 - over)], [[1] * 10]) for over in (5, 6, 7, 8, 9)]
    found = evaluate(exactly, protocol='ris')
    shares = [found[f'ris_p{percent}'] for percent in (50, 60, 70, 80, 90)]
    assert shares == [1, 0.8, 0.6, 0.4, 0.2]


@pytest.mark.parametrize('name', PROTOCOLS)
def test_what_a_set_of_nothing_scores(name, evaluate):
    """Two items, no foreground anywhere."""
    nothing = [([[0, 0, 0]], [[0, 0, 0]])] * 2
    nan = math.nan
    expected = dict(
        lvit=dict(dice=1, iou=1),
        pooled=dict(dice=nan, iou=nan, miou=nan, acc=1, precision=nan, recall=nan),
        ris=dict(miou=0, oiou=nan, p50=0, p60=0, p70=0, p80=0, p90=0),
        gres=dict(giou=1, ciou=nan, n_acc=1, t_acc=nan),
        boundary=dict(hd95_px=nan, assd_px=nan, iou=1),
    )
    expected['two-class'] = dict(dice=1, miou=1, acc=1, precision=1, recall=1)
    prefix = PROTOCOLS[name].PREFIX
    wanted = {prefix + key: value for key, value in expected[name].items()}
    assert evaluate(nothing, protocol=name) == pytest.approx(wanted, nan_ok=True)


def test_items_left_out_are_left_out_of_every_mean_of_items(evaluate):
    """Its background would count in the accuracy and the two-class mean."""
    one = ([[1, 1, 0, 0, 0, 0]], [[0, 1, 1, 0, 0, 0]])
    wrong = ([[1, 0]], [[0, 0]])
    nothing = ([[0] * 50], [[0] * 50])
    names = ['lvit', 'two-class']
    assert evaluate([one, nothing, wrong], protocol=names, empty='skip') == pytest.approx(
        evaluate([one, wrong], protocol=names)
    )
    alone = evaluate([nothing], protocol=names, empty='skip')
    assert len(alone) == 7
    assert all(math.isnan(value) for value in alone.values())


def test_names_are_unique_over_all_protocols(evaluate):
    pair = ([[1, 1, 0]], [[1, 0, 0]])
    apart = [set(evaluate([pair], protocol=name)) for name in PROTOCOLS]
    assert set(evaluate([pair], protocol=list(PROTOCOLS))) == set.union(*apart)
    assert sum(map(len, apart)) == len(set.union(*apart))
    assert apart[list(PROTOCOLS).index('lvit')] == {'dice', 'iou'}, 'save_best'


@pytest.mark.parametrize('name', PROTOCOLS)
def test_every_protocol_says_what_it_is(name):
    text = PROTOCOLS[name].__doc__
    for word in ('Empty masks' if name != 'gres' else 'Nothing is predicted', 'Threshold', ' size', 'Used by'):
        assert word.lower() in text.lower(), word


@given(st.lists(counts, min_size=1, max_size=6))
def test_what_holds_for_any_counts(drawn):
    items = [Item(c) for c in drawn]
    found = {}
    for name in ('lvit', 'two-class', 'pooled', 'ris', 'gres'):
        protocol = PROTOCOLS[name]()
        scores = protocol.of_set(items, [protocol.of_item(item) for item in items])
        assert all(math.isnan(s.value) or 0 <= s.value <= 1 for s in scores.values())
        found[name] = {key: score.value for key, score in scores.items()}
    assert found['lvit']['iou'] <= found['lvit']['dice'] == found['two-class']['dice']
    same = pytest.approx(found['pooled']['iou'], nan_ok=True)
    assert found['ris']['oiou'] == same
    assert found['gres']['ciou'] == same, 'an item that is rightly empty adds nothing'
    if not any(c.empty for c in drawn):
        assert found['ris']['miou'] == pytest.approx(found['lvit']['iou']) == pytest.approx(found['gres']['giou'])
    steps = [found['ris'][f'p{percent}'] for percent in (50, 60, 70, 80, 90)]
    assert steps == sorted(steps, reverse=True)
