"""The verdict's sentences from given figures, the intervals, and the count of unfamiliar words."""

import numpy as np
import pytest

from mmseg_textseg.evaluation.comparison.significance import Interval
from mmseg_textseg.evaluation.text_audit import Audit, Condition, Effect, verdict
from mmseg_textseg.evaluation.text_audit.effects import followed, mean_interval, measure
from mmseg_textseg.evaluation.text_audit.items import Scored, Vocabulary, Words
from mmseg_textseg.tokenization import load_tokenizer

KINDS = dict(empty='blind', shuffled='blind', contradicted='other', paraphrased='other')


def effect(name, difference, low, high, full=0.8, changed=50, unfamiliar=0):
    condition = Condition(name, name.replace(':', ' '), KINDS.get(name, 'without'))
    interval = Interval(difference, low, high, 'BCa')
    words = Words(100, unfamiliar, 0)
    return Effect(condition, changed, 20, full, full + difference, interval, full, full, words, Words(100, 0, 0))


def told(*effects, groups=20):
    full = Interval(0.8, 0.75, 0.85, 'BCa')
    return verdict(Audit(60, groups, 'case', full, 0.7, Words(100, 0, 0), list(effects), {}, None, {}))


def test_the_best_of_the_blind_conditions_is_the_image_alone():
    lines = told(effect('empty', -0.5, -0.6, -0.4), effect('shuffled', -0.2, -0.3, -0.1, full=0.7))
    assert lines[1] == (
        'Image alone gives 50.0: shuffled, the best of the text-blind conditions; empty 30.0 (full text 80.0, 50 '
        'items).'
    )
    assert lines[2].startswith(
        'Text explains 20.0 of 70.0 Dice (95 % interval 10.0 to 30.0), 50 items. That is an upper'
    )
    few = told(effect('empty', -0.5, -0.6, -0.4), effect('shuffled', -0.2, -0.3, -0.1, changed=24))
    assert few[1] == (
        'Image alone gives 30.0: empty, the best of the text-blind conditions; shuffled 60.0 (full text 80.0, 24 '
        'items).'
    ), 'less than half as many sentences changed: no rival'
    alone = told(effect('empty', -0.5, -0.6, -0.4))
    assert alone[1] == 'Image alone gives 30.0: empty, the only text-blind condition.'


@pytest.mark.parametrize(
    ('effects', 'line'),
    [
        (
            [effect('empty', -0.01, -0.03, 0.01), effect('shuffled', -0.02, -0.05, 0.01)],
            'No sign that the text is used: 1.0 of 80.0 Dice (95 % interval -1.0 to 3.0), 50 items, is not told apart '
            'from 0.',
        ),
        (
            [effect('empty', 0.0, -0.02, 0.02), effect('shuffled', -0.4, -0.5, -0.3)],
            'No sign that the true sentence helps: 0.0 of 80.0 Dice (95 % interval -2.0 to 2.0), 50 items, is not told '
            'apart from 0. The text is used, though: shuffled -40.0 (-50.0 to -30.0).',
        ),
        (
            [effect('empty', 0.1, 0.05, 0.15)],
            'The text does harm: without it Dice is 10.0 higher (95 % interval 5.0 to 15.0).',
        ),
        (
            [effect('empty', -0.3, np.nan, np.nan)],  # one case
            'Full text gives 30.0 points more; so few items give no interval, and no answer.',
        ),
    ],
)
def test_what_is_said_of_the_difference(effects, line):
    assert told(*effects)[2] == line


def test_without_a_blind_condition_nothing_is_said_of_the_image():
    assert told(effect('without:side', -0.1, -0.2, -0.05))[1].startswith('No text-blind condition')
    unchanged = effect('empty', np.nan, np.nan, np.nan, changed=0)
    assert told(unchanged)[1].startswith('No text-blind condition')


def test_attributes_by_what_is_lost():
    lines = told(
        effect('without:side', -0.1, -0.2, -0.05),
        effect('without:size', -0.3, -0.4, -0.2),
        effect('without:shape', 0.01, -0.01, 0.03),
        effect('without:number', -0.2, -0.5, 0.1),
        effect('without:type', 0.05, 0.02, 0.08),  # better without: neither lost nor unclear
    )
    assert lines[-2] == (
        'Attributes left out one at a time; most is lost without size -30.0 (-40.0 to -20.0), without side -10.0 '
        '(-20.0 to -5.0).'
    )
    assert lines[-1] == 'No difference told apart from 0: without shape, without number.'


def test_few_groups_and_familiar_paraphrases():
    assert told(effect('empty', -0.5, -0.6, -0.4), groups=9)[-1] == 'Only 9 cases: intervals are too narrow then.'
    assert told(effect('paraphrased', -0.1, -0.2, 0.0))[-1] == 'Paraphrased text: -10.0 (-20.0 to +0.0), 50 items.'
    assert '7.0 % of its words' in told(effect('paraphrased', -0.1, -0.2, -0.05, unfamiliar=7))[-1]


VOCAB = dict(vocab='[PAD] [UNK] [CLS] [SEP] [MASK] the a lesion me ##ta ##stasis .')


def scored(sample, ids, dice, text='', image='i', mask='m', group='g'):
    return Scored(sample, image, mask, group, text, ids, dice, dice)


def test_words_unknown_and_in_pieces():
    tokenizer = load_tokenizer(VOCAB)
    ids = [' '.join(map(str, tokenizer.encode(text, 20)[0])) for text in ('The lesion.', 'A metastasis xyz.', '')]
    count = Vocabulary(tokenizer).count
    assert count([scored('0', ids[0], 1)]) == (3, 0, 0)
    assert count([scored('0', ids[1], 1)]) == (4, 1, 1)
    assert count([scored('0', ids[2], 1)]) == (0, 0, 0)
    together = count([scored(str(i), one, 1) for i, one in enumerate(ids)])
    assert together == (7, 1, 1)
    assert together.unfamiliar == 2 / 7


def test_items_whose_tokens_are_the_same_do_not_count():
    full = {name: scored(name, ids, 0.9) for name, ids in (('a', '2 5 3'), ('b', '2 6 3'), ('c', '2 7 3'))}
    changed = [scored('a', '2 3', 0.5), scored('b', '2 6 3', 0.1)]  # b's change was cut off by max_tokens
    found = measure(Condition('empty', 'empty', 'blind'), full, changed, Vocabulary(load_tokenizer(VOCAB)), 0)
    assert (found.changed, found.full, found.dice) == (1, 0.9, 0.5)
    assert found.difference.value == pytest.approx(-0.4)
    nothing = measure(Condition('empty', 'empty', 'blind'), full, [], Vocabulary(load_tokenizer(VOCAB)), 0)
    assert nothing.changed == 0
    assert np.isnan([nothing.full, nothing.dice, nothing.difference.value]).all()
    assert not nothing.clear


def test_groups_are_drawn_as_one():
    values = np.random.default_rng(0).normal(size=30)
    groups = [f'g{i}' for i in range(30)]
    once = mean_interval(list(values), groups, 0)
    twice = mean_interval([*values, *values], groups * 2, 0)
    assert twice[:3] == pytest.approx(once[:3], abs=1e-12), 'copies of a group are no more evidence'
    alone = mean_interval([*values, *values], [str(i) for i in range(60)], 0)
    assert alone.high - alone.low < 0.8 * (once.high - once.low)


def test_followed_takes_the_row_of_the_same_image_and_another_mask():
    full = {
        'a': scored('a', '', 0.9, 'The left one.', mask='l'),
        'b': scored('b', '', 0.7, 'The right one.', mask='r'),
        'c': scored('c', '', 0.6, 'Both.', mask='l'),
        'd': scored('d', '', 0.2, 'The right one.', mask='x', image='j'),
    }
    contradicted = [
        scored('a', '', 0.1, 'the RIGHT one.', mask='l'),
        scored('c', '', 0.3, 'The left one.', mask='l'),  # the same thing in other words
        scored('d', '', 0.4, 'The left one.', mask='x', image='j'),  # of another image
        scored('b', '', 0.5, 'The upper one.', mask='r'),  # names nothing annotated
    ]
    assert vars(followed(full, contradicted)) == dict(items=1, own=0.1, other=0.7)
    assert followed(full, contradicted[1:]) is None
