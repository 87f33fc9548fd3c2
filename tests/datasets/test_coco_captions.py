"""COCO captions as a table: order, names of what is wrong, and use by readers of any table."""

import json

import pytest

from mmseg_textseg.datasets.annotation_readers import read_table
from mmseg_textseg.datasets.annotations import AnnotationError, load_annotations, read_expressions
from mmseg_textseg.tokenization import load_tokenizer

IMAGES = [dict(id=30, file_name='c.jpg', height=4), dict(id=10, file_name='a.jpg'), dict(id=20, file_name='sub/b.jpg')]
ANNOTATIONS = [
    dict(id=7, image_id=10, caption='A cat sits.'),
    dict(id=9, image_id=30, caption='A dog, late.'),
    dict(id=3, image_id=10, caption=' A cat. '),
    dict(id=5, image_id=30, caption='A dog.'),
]


@pytest.fixture
def write(tmp_path):
    def write(images=IMAGES, annotations=ANNOTATIONS):
        path = tmp_path / 'captions.json'
        path.write_text(json.dumps(dict(info={}, images=images, annotations=annotations, licenses=[])))
        return str(path)

    return write


def changed(items, index, **changes):
    """The items, one of them with other values; ``...`` takes a key away."""
    one = {key: value for key, value in {**items[index], **changes}.items() if value is not ...}
    return [*items[:index], one, *items[index + 1 :]]


def test_order_is_of_the_images_then_of_the_ids(write):
    table = read_table(write())
    assert table.columns == ['image', 'caption']
    assert [(record.values['image'], record.values['caption']) for record in table.records] == [
        ('c.jpg', 'A dog.'),
        ('c.jpg', 'A dog, late.'),
        ('a.jpg', ' A cat. '),
        ('a.jpg', 'A cat sits.'),
    ]
    assert [record.source for record in table.records] == [
        f'captions.json annotation {number} (id {key})' for number, key in ((4, 5), (2, 9), (3, 3), (1, 7))
    ]
    assert table.problems == []


def test_images_without_a_caption_are_counted_once(write, log_lines):
    read_table(write())
    assert [line for line in log_lines if 'no caption' in line] == [
        f'{write()}: 1 of 3 images have no caption and are left out'
    ]
    log_lines.clear()
    read_table(write(IMAGES[:2]))
    assert log_lines == []


def test_is_a_table_like_others(write, tmp_path):
    for name in ('a.jpg', 'c.jpg'):
        (tmp_path / name).touch()
    assert read_expressions(write()) == ['A dog.', 'A dog, late.', 'A cat.', 'A cat sits.']
    rows = load_annotations(write(), str(tmp_path))
    assert [row.image for row in rows] == [str(tmp_path / f'{name}.jpg') for name in 'ccaa']
    assert {row.mask for row in rows} == {None}
    assert all(row.attributes == {} for row in rows)
    assert {'cat', 'dog', 'late'} < set(load_tokenizer(dict(build_from=write())).vocab)


@pytest.mark.parametrize(
    ('images', 'annotations', 'expected'),
    [
        (IMAGES, changed(ANNOTATIONS, 1, image_id=31), "annotation 2 (id 9): 'image_id' is 31, which no entry"),
        (IMAGES, changed(ANNOTATIONS, 1, image_id='30'), "annotation 2 (id 9): 'image_id' is '30', which no entry"),
        (IMAGES, changed(ANNOTATIONS, 1, image_id=...), "annotation 2 (id 9): 'image_id' is None, which no entry"),
        (IMAGES, changed(ANNOTATIONS, 1, image_id=[30]), "annotation 2 (id 9): 'image_id' is [30], which no entry"),
        (IMAGES, changed(ANNOTATIONS, 1, caption=...), "annotation 2 (id 9): 'caption' is missing"),
        (IMAGES, changed(ANNOTATIONS, 1, caption=''), "annotation 2 (id 9): 'caption' is empty"),
        (IMAGES, changed(ANNOTATIONS, 1, caption=4), "annotation 2 (id 9): 'caption' is 4 (int), not text"),
        (IMAGES, changed(ANNOTATIONS, 1, id=...), "annotation 2: 'id' is None: expected a number"),
        (IMAGES, [ANNOTATIONS[0], 'A dog.'], 'annotation 2: expected an object with named values, found str'),
        (changed(IMAGES, 1, file_name=...), ANNOTATIONS, "image 2 (id 10): 'file_name' is missing"),
        (changed(IMAGES, 1, file_name=''), ANNOTATIONS, "image 2 (id 10): 'file_name' is ''"),
        ([*IMAGES, 'd.jpg'], ANNOTATIONS, "image 4: expected an object with an 'id'"),
        ([*IMAGES, dict(file_name='d.jpg')], ANNOTATIONS, "image 4: expected an object with an 'id'"),
        ([*IMAGES, IMAGES[0]], ANNOTATIONS, "image 4 (id 30): 'id' stands twice"),
        (IMAGES, {}, "'annotations' is a dict: expected a list"),
        ({}, ANNOTATIONS, "'images' is a dict: expected a list"),
        (IMAGES, [dict(id=1, image_id=10, bbox=[])] * 30, "no entry of 'annotations' has a 'caption'"),
        (IMAGES, [], 'no rows'),
    ],
)
def test_what_is_wrong_is_named(write, images, annotations, expected):
    with pytest.raises(AnnotationError) as caught:
        load_annotations(write(images, annotations))
    (problem,) = caught.value.problems  # an image's problem is told once, not for each of its captions
    assert expected in problem
    assert problem.startswith('captions.json') == (not expected.startswith(("'", 'no ')))


def test_all_problems_come_together(write):
    images = changed(IMAGES, 2, file_name=...)
    annotations = changed(changed(ANNOTATIONS, 0, caption=...), 1, caption='')
    with pytest.raises(AnnotationError) as caught:
        read_expressions(write(images, annotations))
    assert [problem.split(':')[0] for problem in caught.value.problems] == [
        'captions.json image 3 (id 20)',
        'captions.json annotation 1 (id 7)',
        'captions.json annotation 2 (id 9)',
    ]
