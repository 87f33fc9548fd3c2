"""RefCOCO's pickles and instances in the published layout, as Python 2 wrote them -> masks and tables."""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg_textseg.datasets.converters import Conversion, ConversionError, refcoco


def python2(value) -> bytes:
    """Opcodes of protocol 0 as Python 2.7 writes them, but for the memo; str is its 8-bit one."""
    if isinstance(value, str):
        return f"S'{value}'\n".encode()
    if isinstance(value, int):
        return f'I{value}\n'.encode()
    if isinstance(value, list):
        return b'(l' + b''.join(python2(item) + b'a' for item in value)
    return b'(d' + b''.join(python2(key) + python2(item) + b's' for key, item in value.items())


def sentence(sent_id, sent, raw=None):
    return dict(tokens=sent.split(), raw=raw or sent.upper(), sent_id=sent_id, sent=sent)


def ref(ref_id, ann_id, image_id, split, *sentences):
    return dict(
        sent_ids=[s['sent_id'] for s in sentences],
        file_name=f'COCO_train2014_{image_id:012d}_{ref_id}.jpg',
        ann_id=ann_id,
        ref_id=ref_id,
        image_id=image_id,
        split=split,
        sentences=list(sentences),
        category_id=1,
    )


# Height 4, width 5; the run lengths go down the columns: 6 off, 3 on, 11 off.
RUNS = dict(size=[4, 5], counts=[6, 3, 11])
ANNOTATIONS = {
    70: (7, [[1, 1, 4, 1, 4, 3, 1, 3]]),
    71: (7, [[0, 0, 2, 0, 2, 2, 0, 2], [3, 2, 5, 2, 5, 4, 3, 4]]),
    80: (8, RUNS),
    90: (9, [[0, 0, 5, 0, 5, 4, 0, 4], [1, 1, 2, 2]]),
    91: (9, [[2, 1, 3, 1, 3, 2, 2, 2]]),
}
PIXELS = {
    70: ['.....', '.###.', '.###.', '.....'],
    71: ['##...', '##...', '...##', '...##'],
    80: ['..#..', '.....', '.#...', '.#...'],
    90: ['#####'] * 4,
    91: ['.....', '..#..', '.....', '.....'],
}


def refs():
    return [
        ref(3, 71, 7, 'train', sentence(5, 'two dots'), sentence(6, 'both of them', 'both o them')),
        ref(0, 70, 7, 'train', sentence(0, 'the big one')),
        ref(1, 80, 8, 'val', sentence(1, 'crowd'), sentence(2, '  ')),
        ref(2, 90, 9, 'testA', sentence(3, '23')),
        ref(4, 91, 9, 'testB', sentence(4, 'the dot')),
    ]


def instances():
    return dict(
        images=[dict(id=i, file_name=f'COCO_train2014_{i:012d}.jpg', height=4, width=5) for i in (7, 8, 9)],
        annotations=[
            dict(id=i, image_id=image, category_id=1, iscrowd=int(shape is RUNS), segmentation=shape)
            for i, (image, shape) in ANNOTATIONS.items()
        ],
        categories=[dict(id=1, name='person')],
    )


def write(src, refs_=None, instances_=None, dataset='refcoco', by='unc'):
    folder = src / dataset
    folder.mkdir(parents=True, exist_ok=True)
    content = refs() if refs_ is None else refs_
    (folder / f'refs({by}).p').write_bytes((content if isinstance(content, bytes) else python2(content)) + b'.')
    (folder / 'instances.json').write_text(json.dumps(instances() if instances_ is None else instances_))
    return src


def run(src, out, dataset='refcoco', by='unc', images=None):
    parser = argparse.ArgumentParser()
    refcoco.add_arguments(parser)
    args = parser.parse_args(
        ['--dataset', dataset, '--split-by', by, *(['--images', str(images)] if images is not None else [])]
    )
    arguments = dict(dataset=dataset, split_by=by)
    with Conversion('refcoco', out, arguments, progress=False) as conversion:
        refcoco.convert(src, conversion, args)
    return conversion


def problems(*args, **kwargs):
    with pytest.raises(ConversionError) as caught:
        run(*args, **kwargs)
    return caught.value.problems


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def src(tmp_path):
    return write(tmp_path / 'src')


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


@pytest.fixture
def hints(monkeypatch):
    said = []
    monkeypatch.setattr(refcoco, 'print_log', lambda message, **_: said.append(message))
    return said


def test_masks(src, out):
    run(src, out)
    assert {int(path.stem) for path in (out / 'masks').iterdir()} == set(PIXELS)
    for ann_id, lines in PIXELS.items():
        mask = cv2.imread(str(out / 'masks' / f'{ann_id}.png'), cv2.IMREAD_UNCHANGED)
        expected = np.array([[255 * (pixel == '#') for pixel in line] for line in lines], np.uint8)
        np.testing.assert_array_equal(mask, expected)


def test_tables(src, out):
    conversion = run(src, out)
    assert {path.name for path in out.glob('*.jsonl')} == {
        f'{name}.jsonl' for name in ('train', 'val', 'testA', 'testB')
    }
    assert rows(out / 'train.jsonl')[1] == dict(
        image='COCO_train2014_000000000007.jpg', mask='71.png', expression='both of them', raw='both o them',
        ref_id=3, ann_id=71, sent_id=6, category='person', split='train',
    )  # fmt: skip
    assert [row['sent_id'] for row in rows(out / 'train.jsonl')] == [5, 6, 0], 'the order of the pickle'
    assert [row['expression'] for row in rows(out / 'testA.jsonl')] == ['23']
    assert conversion.counts == {
        'masks': 5, 'train expressions': 3, 'val expressions': 1, 'testA expressions': 1, 'testB expressions': 1,
        'blank sentences, left out': 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ('dataset', 'by', 'splits'),
    [
        ('refcoco', 'unc', ['train', 'val', 'testA', 'testB']),
        ('refcoco', 'google', ['train', 'val', 'test']),
        ('refcoco+', 'unc', ['train', 'val', 'testA', 'testB']),
        ('refcocog', 'google', ['train', 'val']),
        ('refcocog', 'umd', ['train', 'val', 'test']),
    ],
)
def test_splits_of_each(tmp_path, out, dataset, by, splits):
    some = [ref(i, 70, 7, split, sentence(i, 'dot')) for i, split in enumerate(splits)]
    run(write(tmp_path / 'src', some, dataset=dataset, by=by), out, dataset, by)
    assert {path.stem for path in out.glob('*.jsonl')} == set(splits)
    assert [path.name for path in (out / 'masks').iterdir()] == ['70.png'], 'two refs of one object share its mask'
    extra = [*some, ref(9, 70, 7, 'testC', sentence(9, 'dot'))]
    write(tmp_path / 'src', extra, dataset=dataset, by=by)
    (problem,) = problems(tmp_path / 'src', tmp_path / 'other', dataset, by)
    assert problem.endswith(f"'split' is 'testC': expected {', '.join(splits)}")


def test_a_split_without_refs_has_no_table(tmp_path, out):
    run(write(tmp_path / 'src', refs()[:2]), out)
    assert [path.name for path in out.glob('*.jsonl')] == ['train.jsonl']
    assert {path.name for path in (out / 'masks').iterdir()} == {'70.png', '71.png'}, 'only of objects referred to'


@pytest.mark.parametrize(
    ('dataset', 'by', 'allowed'),
    [('refcoco', 'umd', 'unc or google'), ('refcoco+', 'google', 'unc'), ('refcocog', 'unc', 'google or umd')],
)
def test_unpublished_splits_name_the_published(src, out, dataset, by, allowed):
    (problem,) = problems(src, out, dataset, by)
    assert problem == f'is not published: set --split-by {allowed}'


def test_a_second_run_writes_nothing_and_a_stopped_one_goes_on(src, out):
    run(src, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob('*') if path.suffix in ('.png', '.jsonl')}
    run(src, out)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    gone = out / 'masks' / '80.png'
    gone.unlink()
    run(src, out)
    assert {path for path in before if path.stat().st_mtime_ns != before[path]} == {gone}


def test_other_instances_are_drawn_anew(src, out):
    run(src, out)
    changed = instances()
    changed['annotations'][0]['segmentation'] = [[0, 0, 5, 0, 5, 4, 0, 4]]
    write(src, instances_=changed)
    run(src, out)
    assert cv2.imread(str(out / 'masks' / '70.png'), cv2.IMREAD_UNCHANGED).min() == 255


def test_without_pycocotools(src, out, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pycocotools', None)
    assert problems(src, out) == ("needs pycocotools: pip install 'mmseg_textseg[data]'",)


def test_counts_other_than_the_published_are_a_hint(src, out, hints, monkeypatch):
    run(src, out)
    blank, differing = hints
    assert 'left out: 1, sent_id [2]' in blank
    assert 'refcoco unc' in differing
    assert 'train 2 in 1 (published: 42,404 in 16,994)' in differing
    hints.clear()
    here = dict(train=(2, 1), val=(1, 1), testA=(1, 1), testB=(1, 1))
    monkeypatch.setitem(refcoco.PUBLISHED, ('refcoco', 'unc'), here)
    run(src, out)
    assert len(hints) == 1
    for published, said in (((2, 2), '2 in 2'), ((3, 1), '3 in 1')):
        monkeypatch.setitem(refcoco.PUBLISHED, ('refcoco', 'unc'), here | dict(train=published))
        run(src, out)
        assert f'train 2 in 1 (published: {said}). Right' in hints[-1]


def test_the_published_counts_add_up_to_those_of_the_papers():
    totals = {
        key: tuple(sum(count[i] for count in splits.values()) for i in (0, 1))
        for key, splits in refcoco.PUBLISHED.items()
    }
    assert totals['refcoco', 'unc'] == (50000, 19994)
    assert totals['refcoco', 'google'][0] == 50000
    assert totals['refcoco+', 'unc'] == (49856, 19992)
    assert totals['refcocog', 'umd'][0] == totals['refcocog', 'google'][0] == 49822


def test_images_are_looked_for_and_not_copied(src, out, tmp_path):
    images = tmp_path / 'train2014'
    (problem,) = problems(src, out, images=images)
    assert problem == "is no folder: give COCO's train2014"
    images.mkdir()
    (images / 'COCO_train2014_000000000008.jpg').touch()
    count, *missing = problems(src, out, images=images)
    assert count.startswith('2 of 3 images are missing: ')
    assert missing == ['COCO_train2014_000000000007.jpg', 'COCO_train2014_000000000009.jpg']
    assert not list(out.rglob('*.png'))
    for name in missing:
        (images / name).touch()
    run(src, out, images=images)
    assert not list(out.rglob('*.jpg'))


def test_missing_files(src, out, tmp_path):
    (src / 'refcoco' / 'instances.json').unlink()
    (problem,) = problems(src, out)
    assert problem == f'no {Path("refcoco/instances.json")}: --src is the folder that holds refcoco/'
    problem, other = problems(src / 'refcoco', out)
    assert problem == f'no {Path("refcoco/refs(unc).p")}: --src is the folder that holds refcoco/: give {src}'
    assert other.startswith(f'no {Path("refcoco/instances.json")}: ')


def test_a_pickle_that_runs_code_does_not(src, out, tmp_path):
    made = tmp_path / 'made'
    write(src, f"cos\nsystem\n(S'touch {made}'\ntR".encode())
    (problem,) = problems(src, out)
    assert problem.startswith('asks for os.system: reading it could run code')
    assert not made.exists()


@pytest.mark.parametrize(
    ('content', 'expected'),
    [
        ('{"images"', 'is no JSON'),
        ('[]', "no list 'images'"),
        ('{"images": [], "categories": 3}', "no list 'annotations'"),
    ],
)
def test_instances_that_are_something_else(src, out, content, expected):
    (src / 'refcoco' / 'instances.json').write_text(content)
    assert expected in problems(src, out)[0]


@pytest.mark.parametrize('content', [[], dict(refs=3), 'refs'])
def test_refs_that_are_something_else(src, out, content):
    (problem,) = problems(write(src, content), out)
    assert problem.endswith(': expected a list of refs')


def spoil_ref(**changes):
    def spoil(refs_, instances_):
        refs_[1].update(changes)

    return spoil


def spoil_sentence(**changes):
    def spoil(refs_, instances_):
        refs_[1]['sentences'][0].update(changes)

    return spoil


def spoil_instances(table, **changes):
    def spoil(refs_, instances_):
        instances_[table][0].update(changes)

    return spoil


def shape(segmentation):
    return spoil_instances('annotations', segmentation=segmentation)


WRONG = [
    (spoil_ref(ann_id='70'), "'ann_id' is '70': expected int"),
    (spoil_ref(split=3), "'split' is 3: expected str"),
    (spoil_ref(split='test'), "'split' is 'test': expected train, val, testA, testB"),
    (spoil_ref(sentences=[]), "'sentences' is empty"),
    (spoil_ref(sentences=['dot']), "sentence 0: is 'dot': expected a dict with sent_id, sent, raw"),
    (spoil_sentence(sent=5), "sentence 0: 'sent' is 5: expected str"),
    (spoil_sentence(sent_id='x'), "sentence 0: 'sent_id' is 'x': expected int"),
    (spoil_ref(image_id=99), "'image_id' is 99, which instances.json does not have"),
    (spoil_ref(image_id=8), "'image_id' is 8, but instances.json has annotation 70 in image 7"),
    (spoil_ref(category_id=99), "'category_id' is 99, which instances.json does not have"),
    (spoil_ref(ann_id=99), "'ann_id' is 99, which instances.json does not have"),
    (spoil_instances('categories', name=7), "'name' is 7: expected str"),
    (spoil_instances('images', height='4'), "instances.json: image 7: 'height' is '4': expected int"),
    (spoil_instances('images', file_name=None), "instances.json: image 7: 'file_name' is None: expected str"),
    (spoil_instances('annotations', id='70'), "'ann_id' is 70, which instances.json does not have"),
    (shape(None), "'segmentation' is None: expected polygons, or a dict"),
    (shape([]), "'segmentation' is []: expected a polygon of three points or more"),
    (shape([[1, 1, 2, 2]]), 'expected a polygon of three points or more'),
    (shape([1, 1, 2, 2, 3, 3]), 'expected polygons, or a dict'),
    (shape([[1, 1, 2, 2, 3, 3, 4]]), 'expected x, y, x, y, ... in pixels'),
    (shape([[1, 1, 2, 2, 3, float('nan')]]), 'expected x, y, x, y, ... in pixels'),
    (shape([[1, 1, 2, 2, 3, 1e9]]), 'expected x, y, x, y, ... in pixels'),
    (shape([[1, 1, 2, 2, 3, 'x']]), 'expected x, y, x, y, ... in pixels'),
    (shape(dict(size=[5, 4], counts=[20])), 'expected size [4, 5] and a list of counts with the sum 20'),
    (shape(dict(size=[4, 5], counts=[19])), 'a list of counts with the sum 20'),
    (shape(dict(size=[4, 5], counts=[-1, 21])), 'a list of counts with the sum 20'),
    (shape(dict(size=[4, 5], counts='d0')), 'a list of counts with the sum 20'),
]


@pytest.mark.parametrize(('spoil', 'expected'), WRONG)
def test_what_is_wrong_is_named(src, out, spoil, expected):
    refs_, instances_ = refs(), instances()
    spoil(refs_, instances_)
    found = problems(write(src, refs_, instances_), out)
    assert expected in next(problem for problem in found if problem.startswith('ref 1 (ref_id 0): '))
    assert not list(out.rglob('*.png'))


def test_problems_come_together(src, out):
    refs_ = [ref(i, i, 7, 'train', sentence(i, 'dot')) for i in range(30)]
    refs_[4] = 'no ref'
    found = problems(write(src, refs_), out)
    assert len(found) == 30
    assert found[4] == f"ref 4: is 'no ref': expected a dict with {', '.join(refcoco.REF_KEYS)}"


def test_the_arguments_name_their_choices(capsys):
    parser = argparse.ArgumentParser()
    refcoco.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(['--dataset', 'refclef', '--split-by', 'unc'])
    said = capsys.readouterr().err
    assert 'refcoco+' in said
    assert 'refcocog' in said
    assert refcoco.HELP
