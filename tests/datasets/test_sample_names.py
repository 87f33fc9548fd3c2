"""Names of samples, and what stands in a table twice."""

from mmseg_textseg.datasets import sample_names
from mmseg_textseg.datasets.annotations import AnnotationRow
from mmseg_textseg.datasets.sample_names import Repeats, SampleNames


def test_names_are_of_stems_and_unique():
    names = SampleNames()
    pairs = [('x/a.png', 'm/a.png'), ('x/a.png', 'm/a_l2.png'), ('y/a.png', 'n/a.png'), ('z/a.png', None)]
    expected = ['a', 'a-a_l2', 'a~2', 'a~3']
    assert [names.of(*pair) for pair in pairs] == expected
    assert [names.of(*pair) for pair in reversed(pairs)] == expected[::-1]


def test_slices_of_a_volume_are_images():
    names = SampleNames()
    asked = [('v.nii.gz', 'm.nii.gz', '3'), ('v.nii.gz', 'm.nii.gz', '4'), ('w/v.nii.gz', 'm.nii.gz', '4')]
    assert [names.of(*pair) for pair in asked] == ['v-m-3', 'v-m-4', 'v-m-4~2']
    assert [names.count(*pair) for pair in (asked[0], asked[1], asked[0])] == [0, 0, 1]


def test_a_slice_of_a_picture_is_only_a_column():
    rows = [AnnotationRow(name, None, ('a',), dict(slice=3), '') for name in ('v.nii.gz', 'v.dcm', 'v', 'v_3.png')]
    assert [row.slice for row in rows] == ['3', '3', '3', None]


def test_a_name_that_looks_numbered_is_not_taken_twice():
    names = SampleNames()
    assert [names.of(image, None) for image in ('x/a~2.png', 'x/a.png', 'y/a.png')] == ['a~2', 'a', 'a~3']


def test_expressions_are_numbered_by_pair():
    names = SampleNames()
    asked = [('a', None), ('a', 'm'), ('a', None), ('a', None)]
    assert [names.count(*pair) for pair in asked] == [0, 0, 1, 2]


def test_repeats_are_counted_and_said_once(monkeypatch):
    said = []
    monkeypatch.setattr(sample_names, 'print_log', lambda message, **_: said.append(message))
    repeats = Repeats()
    for image, text in [('a', 'one'), ('a', 'one'), ('b', 'one'), ('b', 'one'), ('b', 'one'), ('b', 'two')]:
        repeats.note(AnnotationRow(f'x/{image}.png', None, (text,), {}, ''), text)
    repeats.warn('t.csv')
    (message,) = said
    assert message.startswith('t.csv: 2 of 3 ')
    assert "a.png, 'one'" in message


def test_nothing_is_said_of_a_table_without_repeats(monkeypatch):
    monkeypatch.setattr(sample_names, 'print_log', lambda *_, **__: 1 / 0)
    repeats = Repeats()
    repeats.note(AnnotationRow('a', None, ('one',), {}, ''), 'one')
    repeats.warn('t.csv')
