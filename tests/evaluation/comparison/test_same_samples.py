"""Whether runs are on the same samples."""

import numpy as np
import pytest

from mmseg_textseg.evaluation.comparison import LeaderboardError
from mmseg_textseg.evaluation.comparison.alignment import align, describe
from mmseg_textseg.evaluation.comparison.groups import find_groups

FOUR = [0.1, 0.2, 0.3, 0.4]


def refusal(runs, **kwargs):
    with pytest.raises(LeaderboardError) as error:
        align(runs, **kwargs)
    return str(error.value)


def test_items_come_into_one_order(load_runs):
    ids, images, texts = ['a', 'b', 'c'], ['1', '2', '3'], ['x', 'y', 'z']
    runs = load_runs(
        first=dict(dice=[0.1, 0.2, 0.3], ids=ids, images=images, expressions=texts),
        second=dict(dice=[0.3, 0.2, 0.1], ids=ids[::-1], images=images[::-1], expressions=texts[::-1]),
    )
    aligned, remarks = align(runs)
    assert remarks == []
    for run in aligned:
        assert list(run.items.index) == ids
        np.testing.assert_array_equal(run.items['dice'], [0.1, 0.2, 0.3])


def test_other_samples_are_told_against_what_most_have(load_runs):
    runs = load_runs(
        odd=dict(dice=FOUR, ids=['a', 'b', 'c', 'x']),
        one=dict(dice=FOUR, ids=['a', 'b', 'c', 'd']),
        two=dict(dice=FOUR, ids=['a', 'b', 'c', 'd']),
        short=dict(dice=[0.1], ids=['d']),
    )
    text = refusal(runs)
    assert 'against one, two (4 items)' in text
    assert 'odd: lacks 1 of 4 (d) and has 1 that they have not (x)' in text
    assert 'short: lacks 3 of 4 (a, b, c)' in text
    assert '\n  one' not in text


def test_only_the_first_few_ids_are_shown(load_runs):
    runs = load_runs(a=[0.5] * 9, b=dict(dice=[0.5] * 2))
    assert 'b: lacks 7 of 9 (s2, s3, s4, ...)' in refusal(runs)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (
            dict(images=['i0.png', 'i0.png', 'i9.png', 'i1.png']),
            "another image than a for 1 of 4 (s2: 'i9.png' against",
        ),
        (
            dict(columns=dict(pixels=[5, 6, 7, 9])),
            'another truth or size of evaluation (pixels) than a for 1 of 4 (s3: 9 ',
        ),
        (dict(columns=dict(pixels=[np.nan, 6, 7, 8])), '(pixels) than a for 1 of 4 (s0: nan against 5'),
    ],
)
def test_the_same_ids_of_other_samples(load_runs, change, words):
    plain = dict(dice=FOUR, columns=dict(pixels=[5, 6, 7, 8]))
    assert words in refusal(load_runs(a=plain, b={**plain, **change}))
    align(load_runs(a=plain, b=plain))


def test_other_expressions_are_refused_unless_allowed(load_runs):
    runs = load_runs(a=FOUR, b=dict(dice=FOUR, expressions=['lesion 0', 'nodule', 'lesion 2', 'lesion 3']))
    text = refusal(runs)
    assert "b has another expression than a for 1 of 4 (s1: 'nodule' against 'lesion 1')" in text
    assert '--other-text' in text
    _, remarks = align(runs, other_text=True)
    assert len(remarks) == 1
    assert remarks[0].startswith('b has another expression than a')


@pytest.mark.parametrize('condition', [dict(shuffled_text=True), dict(partial_text=0.5), dict(changed_text='empty')])
def test_text_changed_on_purpose_is_compared_with_a_remark(load_runs, condition):
    shuffled = dict(dice=FOUR, expressions=['w', 'x', 'y', 'z'], summary=dict(conditions=condition))
    # First in the row, too: its sentences are no measure for the others.
    runs, remarks = align(load_runs(control=shuffled, a=FOUR, b=FOUR))
    assert len(runs) == 3
    assert remarks == [
        f'control: its sentences were changed on purpose ({describe(runs[0])}); compared as a control',
    ]
    odd = dict(dice=FOUR, expressions=['w', 'x', 'y', 'z'])
    assert 'odd has another expression than a' in refusal(load_runs(control=shuffled, a=FOUR, odd=odd))


def test_a_control_of_another_image_is_refused(load_runs):
    control = dict(dice=FOUR, images=['p', 'q', 'r', 's'], summary=dict(conditions=dict(shuffled_text=True)))
    assert 'control has another image than a for 4 of 4' in refusal(load_runs(a=FOUR, control=control))


def test_a_run_without_sentences(load_runs):
    runs, remarks = align(load_runs(unet=dict(dice=FOUR, expressions=['', '', '', '']), a=FOUR))
    assert [run.name for run in runs] == ['unet', 'a']
    assert remarks == ['unet: no sentences in its per_sample.csv; compared by image and truth']
    mixed = dict(dice=FOUR, expressions=['lesion 0', '', 'lesion 2', 'lesion 3'])
    assert 'mixed has another expression' in refusal(load_runs(a=FOUR, mixed=mixed))


def test_conditions_in_words(load_runs):
    told = dict(shuffled_text=True, partial_text=['segment', 'shape'], tta=False, network_size=True)
    (run,) = load_runs(a=dict(dice=FOUR, summary=dict(conditions=told)))
    assert describe(run) == 'shuffled text, partial text segment+shape, network size'


def test_groups(load_runs):
    images = ['case1_0.png', 'case1_1.png', 'case2_0.png', 'case1_1.png']
    runs = load_runs(a=dict(dice=FOUR, images=images, columns=dict(patient=[7, 7, 8, 9])))

    def codes(by):
        groups = find_groups(runs, by)
        return groups.codes.tolist(), groups.count, groups.noun

    assert codes('item') == ([0, 1, 2, 3], 4, 'item')
    assert codes('image') == ([0, 1, 2, 1], 3, 'image')
    assert codes('patient') == ([0, 0, 1, 2], 3, 'patient')
    assert codes(r'image:^case\d+') == ([0, 0, 1, 0], 2, 'group')
    assert codes(r'image:^case\d+_(\d)') == ([0, 1, 0, 1], 2, 'group')


@pytest.mark.parametrize(
    ('by', 'words'),
    [
        ('hospital', "no column 'hospital' to group by; expected item, or one of sample_id, image"),
        ('image:(', r'--group image:\( is no regular expression'),
        ('image:z', r"4 items without a group by image:z, the first is 's0' \(image 'i0.png'\)"),
        ('patient', "1 items without a group by patient, the first is 's1'"),
        ('expression', "b and a differ in 'expression'"),
    ],
)
def test_refused_groups(load_runs, by, words):
    patients = dict(patient=['p', '', 'q', 'q'])
    control = dict(expressions=list('wxyz'), summary=dict(conditions=dict(shuffled_text=True)))
    runs, _ = align(load_runs(a=dict(dice=FOUR, columns=patients), b=dict(dice=FOUR, columns=patients, **control)))
    with pytest.raises(LeaderboardError, match=words):
        find_groups(runs, by)
