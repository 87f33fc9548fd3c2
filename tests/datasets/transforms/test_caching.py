"""CachedTransforms: the same as without it, read once, within its bounds, never shared with who writes."""

import copy
import os
import pickle
import tracemalloc

import cv2
import mmengine.fileio
import numpy as np
import pytest
from mmcv.transforms import BaseTransform, Compose
from mmcv.transforms import Resize as MmcvResize
from mmengine.dataset import worker_init_fn
from mmseg.datasets.transforms import RandomFlip
from mmseg.registry import TRANSFORMS
from torch.utils.data import DataLoader

from mmseg_textseg.datasets import CachedTransforms, LoadMask, TextSegDataset
from mmseg_textseg.datasets.transforms import caching

LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadMask')]
STEPS = [*LOAD, dict(type='Resize', scale=(20, 16), keep_ratio=False)]
TEST_STEPS = [STEPS[0], STEPS[2], STEPS[1]]


@pytest.fixture
def files(tmp_path):
    """Two pictures with two masks each."""
    rng = np.random.default_rng(0)
    for name in 'ab':
        cv2.imwrite(str(tmp_path / f'{name}.png'), rng.integers(0, 256, (12, 10, 3), np.uint8))
        for number in range(2):
            cv2.imwrite(str(tmp_path / f'{name}{number}.png'), rng.integers(0, 2, (12, 10), np.uint8))
    return tmp_path


def item(files, name='a', number=0, **changes):
    paths = dict(img_path=str(files / f'{name}.png'), seg_map_path=str(files / f'{name}{number}.png'))
    common = dict(label_map=None, reduce_zero_label=False, seg_fields=[], attributes={'side': 'left'})
    return {**paths, **common, **changes}


def plain(steps=STEPS):
    return Compose([TRANSFORMS.build(step) for step in steps])


def same(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert type(value) is type(second[key])
        np.testing.assert_array_equal(value, second[key], err_msg=key)


@pytest.fixture
def reads(monkeypatch):
    """Names of the files that are read."""
    get, names = mmengine.fileio.get, []

    def noted(path, **options):
        names.append(os.path.basename(path))
        return get(path, **options)

    monkeypatch.setattr('mmengine.fileio.get', noted)
    return names


@pytest.mark.parametrize('steps', [STEPS, TEST_STEPS, LOAD, [LOAD[0]], [*STEPS, dict(type='HideMask')]])
def test_what_comes_out_is_the_same(files, steps):
    cached = TRANSFORMS.build(dict(type='CachedTransforms', transforms=steps))
    for turn in range(3):
        for name, number in (('a', 0), ('b', 1), ('a', 1)):
            given = item(files, name, number, text=f'text {turn}', sample_id=f'{name}-{turn}')
            same(cached(copy.deepcopy(given)), plain(steps)(copy.deepcopy(given)))


def test_files_are_read_once_and_pictures_shared(files, reads):
    cached = CachedTransforms(STEPS)
    for text in ('one', 'another'):
        for number in range(2):
            cached(item(files, 'a', number, text=text, attributes={'text_kind': text}))
    assert reads == ['a.png', 'a0.png', 'a.png', 'a1.png']
    picture, mask = 16 * 20 * 3, 16 * 20
    assert cached.held_bytes == picture + 2 * mask + 2 * caching.ENTRY_BYTES
    assert len(cached._entries) == 2


def test_who_writes_changes_a_copy(files):
    cached, expected = CachedTransforms(STEPS), plain()(item(files))
    for _ in range(3):  # the first is what was loaded, the others come from the cache
        results = cached(item(files))
        same(results, expected)
        results['img'][:] = 0
        results['gt_seg_map'][:] = 9
        results['seg_fields'].append('gt_depth_map')
        results['attributes']['side'] = 'right'


def test_a_file_that_changed_is_read_again(files):
    cached = CachedTransforms(STEPS)
    cached(item(files, 'b'))
    cached(item(files))
    for path in ('a.png', 'a0.png'):
        before = cached(item(files))
        content = cv2.imread(str(files / path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(files / path), 1 - content if content.ndim == 2 else 255 - content)
        status = os.stat(files / path)
        os.utime(files / path, ns=(status.st_atime_ns, status.st_mtime_ns + 1000))
        after = cached(item(files))
        same(after, plain()(item(files)))
        key = 'img' if path == 'a.png' else 'gt_seg_map'
        assert (before[key] != after[key]).any()
    assert len(cached._entries) == 1, 'what was kept of old files is gone'


def test_bytes_are_bounded(files, reads, log_lines):
    entry = 16 * 20 * 4 + caching.ENTRY_BYTES
    cached = CachedTransforms(STEPS, max_bytes=entry + caching.ENTRY_BYTES + 16 * 20 - 1)  # one short of a second mask
    for _ in range(3):
        for name, number in (('a', 0), ('b', 0), ('a', 1)):
            same(cached(item(files, name, number)), plain()(item(files, name, number)))
            assert cached.held_bytes == entry
    assert reads.count('a0.png') == 1 + 3  # three by the plain transforms
    assert reads.count('b0.png') == reads.count('a1.png') == 3 + 3
    assert len([line for line in log_lines if 'full at 1 pictures' in line]) == 1


def test_the_bytes_are_those_of_the_process(tmp_path):
    for number in range(100):
        image = np.full((12, 10, 3), number, np.uint8)
        cv2.imwrite(str(tmp_path / f'{number}.png'), image)
    cached = CachedTransforms([LOAD[0]])
    cached(dict(img_path=str(tmp_path / '0.png')))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(1, 100):
        cached(dict(img_path=str(tmp_path / f'{number}.png')))
    used, held = tracemalloc.get_traced_memory()[0] - before, cached.held_bytes * 99 / 100
    tracemalloc.stop()
    assert held / 4 < used <= held


class Brighter(BaseTransform):
    def transform(self, results):
        return results


@pytest.mark.parametrize(
    ('step', 'name'),
    [
        (dict(type='RandomFlip', prob=0.5), 'RandomFlip'),
        (dict(type='RandomResize', scale=(8, 8), ratio_range=(1, 2)), 'RandomResize'),
        (dict(type='RandomApply', transforms=[LOAD[0]]), 'RandomApply'),
        (dict(type='PickText'), 'PickText'),
        (dict(type='TokenizeText', tokenizer='bert-base-uncased'), 'TokenizeText'),
        (dict(type='PackTextSegInputs'), 'PackTextSegInputs'),
        (dict(type='CachedTransforms', transforms=LOAD), 'CachedTransforms'),
        (type('Moved', (MmcvResize,), {})(scale=(8, 8)), 'Moved'),
        (Brighter(), 'Brighter'),
        (LoadMask, 'LoadMask'),
        (lambda results: results, '<lambda>'),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_what_may_be_random_is_refused(step, name):
    with pytest.raises(ValueError, match=rf'CachedTransforms: {name} given.*some of LoadImageFromFile, Resize'):
        CachedTransforms([*LOAD, step])


def test_other_bad_options():
    with pytest.raises(ValueError, match='no transform given'):
        CachedTransforms([])
    with pytest.raises(ValueError, match='max_bytes is 0'):
        CachedTransforms(LOAD, max_bytes=0)


def test_files_that_are_not_there(files, monkeypatch):
    cached = CachedTransforms(STEPS)
    with pytest.raises(FileNotFoundError, match=r'c\.png'):
        cached(item(files, 'c'))
    content = (files / 'a.png').read_bytes()
    monkeypatch.setattr('mmengine.fileio.get', lambda *_, **__: content)
    with pytest.raises(ValueError, match=r's3://a\.png or its mask is no file of this machine'):
        CachedTransforms([LOAD[0]])(dict(img_path='s3://a.png'))
    ignoring = CachedTransforms([dict(type='LoadImageFromFile', ignore_empty=True)])
    monkeypatch.undo()
    assert ignoring(dict(img_path=str(files / 'c.png'))) is None
    with pytest.raises(ValueError, match=r'a\.png is loaded already: put the cache first'):
        cached(plain()(item(files)))


def test_errors_of_the_transforms_come_through(files):
    cached = CachedTransforms(STEPS)
    cached(item(files))
    with pytest.raises(ValueError, match='cannot relabel'):
        cached(item(files, label_map={0: 1}))


def test_copies_begin_empty(files):
    cached = CachedTransforms(STEPS, max_bytes=10**6)
    small = len(pickle.dumps(cached))
    cached(item(files))
    assert len(pickle.dumps(cached)) == small
    for other in (copy.deepcopy(cached), pickle.loads(pickle.dumps(cached))):
        assert (other.held_bytes, other.max_bytes, len(other._entries)) == (0, 10**6, 0)
        same(other(item(files)), cached(item(files)))
        assert repr(other) == repr(cached)


def test_slices_of_a_volume(save_nifti, monkeypatch):
    volume = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    paths = dict(img_path=save_nifti('i.nii', volume), seg_map_path=save_nifti('m.nii', (volume % 2).astype(np.uint8)))
    steps = [dict(type='LoadMedicalImage', window=(60, 120)), dict(type='LoadMedicalMask')]
    cached = CachedTransforms(steps)
    for _ in range(2):
        for number in (1, 4):
            for kind in 'xy':
                given = dict(paths, seg_fields=[], attributes=dict(slice=number, kind=kind))
                got, expected = cached(copy.deepcopy(given)), plain(steps)(copy.deepcopy(given))
                assert got['attributes'] == given['attributes']
                same(*({k: v for k, v in r.items() if k != 'slice_view'} for r in (got, expected)))
                assert repr(got['slice_view']) == repr(expected['slice_view'])
    assert len(cached._entries) == 2


def test_a_slice_of_a_series_that_changed(save_series):
    values = np.zeros((2, 3, 2), np.int16)
    folder = save_series('s', values)
    cached = CachedTransforms([dict(type='LoadMedicalImage', window=(60, 120))])
    assert not cached(dict(img_path=folder, attributes=dict(slice=1)))['img'].any()
    one = sorted(os.listdir(folder))[0]
    os.utime(os.path.join(folder, one), ns=(0, 1))
    cached(dict(img_path=folder, attributes=dict(slice=0)))
    before = dict(cached._entries)
    cached(dict(img_path=folder, attributes=dict(slice=1)))
    assert len(before) == 2
    assert len(cached._entries) == 1


@pytest.mark.filterwarnings('ignore:This DataLoader')
@pytest.mark.parametrize('workers', [0, 2])
def test_in_a_dataset_with_random_transforms_behind(files, workers):
    rows = [f'{name}.png,{name}{k}.png,say {name}{k}{t}' for name in 'ab' for k in '01' for t in '01']
    (files / 'train.csv').write_text('\n'.join(['image,mask,text', *rows]))

    def build(head):
        pipeline = [*map(TRANSFORMS.build, head), RandomFlip(prob=0.5)]
        return TextSegDataset('train.csv', data_root=str(files), pipeline=pipeline)

    def epochs(head):
        worker_init_fn(0, 1, 0, 7)
        init = None if not workers else lambda worker: worker_init_fn(worker, 2, 0, 7)
        loader = DataLoader(
            build(head),
            2,
            num_workers=workers,
            collate_fn=list,
            worker_init_fn=init,
            persistent_workers=bool(workers),
            timeout=60 if workers else 0,
        )
        return [one for _ in range(3) for batch in loader for one in batch]

    got, expected = epochs([dict(type='CachedTransforms', transforms=STEPS)]), epochs(STEPS)
    for mine, its in zip(got, expected, strict=True):
        same(mine, its)
    assert len({one['flip'] for one in got}) == 2
    assert len({one['text'] for one in got}) == 8
