"""LoadMedicalImage and LoadMedicalMask, in a pipeline, from a table, and on pairs that do not fit."""

import copy
import json
import pickle

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose, Resize

from mmseg_textseg.datasets import LoadMedicalImage, LoadMedicalMask, PackTextSegInputs, TextSegDataset
from mmseg_textseg.datasets.medical import MedicalImageError
from mmseg_textseg.datasets.transforms.medical import foreground

SHAPE = (4, 5, 6)  # to the right, front, head; steps of 2, 3, 5 mm


@pytest.fixture
def volume():
    array = np.full(SHAPE, -1000, np.int16)
    array[0, -1, 4] = 30  # the patient's left and front, in slice 4
    return array


@pytest.fixture
def labels():
    array = np.zeros(SHAPE, np.uint8)
    array[0, -1, 4], array[3, 0, 4] = 2, 1
    return array


def load(image, mask=None, number=None, window='liver', mask_options={}, **options):
    results = dict(img_path=image, attributes=dict(slice=number), seg_fields=[])
    results = LoadMedicalImage(window, **options).transform(results)
    if mask is not None:
        results = LoadMedicalMask(**mask_options).transform(results | dict(seg_map_path=mask))
    return results


def test_image_and_mask(save_nifti, volume, labels):
    image, mask = save_nifti('image.nii.gz', volume), save_nifti('mask.nii', labels, axes='PIL')
    results = load(image, mask, 4)
    assert results['img'].dtype == np.uint8
    assert results['img'].shape == (5, 4, 3)
    assert results['img_shape'] == results['ori_shape'] == (5, 4)
    assert np.argwhere(results['img'][..., 0]).tolist() == [[0, 3]]
    assert results['img'][0, 3].tolist() == [128, 128, 128]
    assert results['spacing'] == pytest.approx((3, 2))
    assert results['gt_seg_map'].dtype == np.uint8
    assert np.argwhere(results['gt_seg_map']).tolist() == [[0, 3], [4, 0]]
    assert results['seg_fields'] == ['gt_seg_map']


@pytest.mark.parametrize(
    ('chosen', 'places'),
    [(2, [[0, 3]]), ([1], [[4, 0]]), ((1, 2), [[0, 3], [4, 0]]), (3, []), (None, [[0, 3], [4, 0]])],
)
def test_labels(save_nifti, volume, labels, chosen, places):
    options = dict(labels=chosen)
    results = load(save_nifti('i.nii', volume), save_nifti('m.nii', labels.astype(np.float32)), 4, mask_options=options)
    assert np.argwhere(results['gt_seg_map']).tolist() == places


@pytest.mark.parametrize('number', [4, '4', 4.0, '4.0', np.int64(4)])
def test_how_tables_write_numbers(save_nifti, volume, number):
    assert load(save_nifti('i.nii', volume), number=number)['img'].any()


@pytest.mark.parametrize('number', ['four', 1.5, True, [1], 'nan', 'inf'])
def test_what_is_no_number(save_nifti, volume, number):
    with pytest.raises(MedicalImageError, match=r"i\.nii: 'slice' is .*expected a whole number from 0"):
        load(save_nifti('i.nii', volume), number=number)


def test_a_file_of_one_slice_needs_no_number(save_dicom):
    path = save_dicom('a.dcm', np.full((2, 3), 30, np.int16))
    for number in (None, 17):  # its number in the series
        assert load(path, number=number)['img'].shape == (2, 3, 3)


def test_a_series_and_a_mask_in_nifti(save_series, save_nifti):
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)  # rows, columns, slices
    folder = save_series('s', values)
    mask = save_nifti('m.nii.gz', (values.transpose(1, 0, 2) % 2).astype(np.uint8), np.diag([-2.0, -3, 5, 1]))
    results = load(folder, mask, 3, window=(128, 256))
    np.testing.assert_array_equal(results['gt_seg_map'], values[..., 3] % 2)


def test_sixteen_bits_with_the_spacing_of_the_table(tmp_path):
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, np.full((2, 2), 32768 + 30, np.uint16))
    item = dict(img_path=path, attributes=dict(slice=47, spacing_mm=[0.7, 0.8]))
    results = LoadMedicalImage('liver', intercept=-32768).transform(item)
    assert (results['img'] == 128).all()
    assert results['spacing'] == (0.7, 0.8)
    assert 'spacing' not in LoadMedicalImage('liver').transform(dict(img_path=path))


def test_through_a_dataset(save_nifti, volume, labels, tmp_path):
    save_nifti('images/case.nii.gz', volume)
    save_nifti('masks/case.nii.gz', labels)
    rows = [dict(image='case.nii.gz', expression='the lesion', slice=k) for k in (4, 2)]
    (tmp_path / 'train.jsonl').write_text('\n'.join(map(json.dumps, rows)))
    pipeline = [
        LoadMedicalImage('liver'),
        LoadMedicalMask(labels=2),
        Resize(scale=(8, 8), keep_ratio=False),
        PackTextSegInputs(),
    ]
    prefix = dict(img_path='images', seg_map_path='masks')
    for expressions in ('all', 'group'):
        data = TextSegDataset(
            'train.jsonl', data_root=str(tmp_path), data_prefix=prefix, pipeline=pipeline, expressions=expressions
        )
        assert len(data) == 2, 'each slice is an image of its own'
        samples = [item['data_samples'] for item in data]
        assert [sample.gt_sem_seg.data.sum() > 0 for sample in samples] == [True, False]
        assert samples[0].spacing == pytest.approx((3, 2))
        assert samples[0].ori_shape == (5, 4)
        tail = '-0' if expressions == 'all' else ''
        assert [sample.sample_id for sample in samples] == [f'case-{k}{tail}' for k in (4, 2)]


def test_a_folder_of_a_series_in_a_table(save_series, save_nifti, tmp_path):
    values = np.zeros((2, 3, 4), np.int16)
    save_series('images/case', values)
    save_nifti('masks/case.nii', values.transpose(1, 0, 2), np.diag([-2.0, -3, 5, 1]))
    (tmp_path / 't.csv').write_text('image,mask,text,slice\ncase,case.nii,nothing,1\n')
    pipeline = [LoadMedicalImage('liver'), LoadMedicalMask()]
    prefix = dict(img_path='images', seg_map_path='masks')
    (item,) = TextSegDataset('t.csv', data_root=str(tmp_path), data_prefix=prefix, pipeline=pipeline)
    assert not item['gt_seg_map'].any()


def test_pairs_that_do_not_fit(save_nifti, save_dicom, volume, labels, tmp_path):
    image = save_nifti('image.nii', volume)
    moved = save_nifti('moved.nii', labels, np.diag([2.0, 3, 5, 1]))
    with pytest.raises(MedicalImageError, match=r'mask .*moved\.nii and image .*image\.nii do not lie on the same'):
        load(image, moved, 4)
    assert load(image, moved, 4, mask_options=dict(same_affine=False))['gt_seg_map'].sum() == 2
    cv2.imwrite(str(tmp_path / 'm.png'), np.zeros((5, 4), np.uint8))
    with pytest.raises(MedicalImageError, match=r'm\.png is a picture: load it with LoadMask'):
        load(image, str(tmp_path / 'm.png'), 4)
    with pytest.raises(MedicalImageError, match='put LoadMedicalImage before LoadMedicalMask'):
        LoadMedicalMask().transform(dict(seg_map_path=moved))
    with pytest.raises(ValueError, match='cannot relabel'):
        LoadMedicalMask().transform(dict(seg_map_path=moved, label_map={0: 1}))


@pytest.mark.parametrize(
    ('make', 'words'),
    [
        (lambda: LoadMedicalImage('livre'), "'livre' is unknown"),
        (lambda: LoadMedicalImage(plane='oblique'), 'plane'),
        (lambda: LoadMedicalImage(orientation='upright'), 'orientation'),
        (lambda: LoadMedicalImage(default_axes='XYZ'), 'default_axes'),
        (lambda: LoadMedicalMask(labels=[]), 'labels'),
        (lambda: LoadMedicalMask(labels=['tumour']), 'labels'),
    ],
)
def test_unknown_options(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_worker_processes_get_a_copy(save_nifti, volume):
    loader = Compose([LoadMedicalImage(['lung', 'liver', (40, 400)])])
    item = dict(img_path=save_nifti('i.nii', volume), attributes=dict(slice=4))
    first, second = (one(copy.deepcopy(item))['img'] for one in (loader, pickle.loads(pickle.dumps(loader))))
    np.testing.assert_array_equal(first, second)
    assert "window=['lung', 'liver', (40, 400)]" in repr(loader)


@pytest.mark.parametrize('dtype', [bool, np.uint8, np.int16, np.uint16, np.int64, np.float32, np.float64, '>i2', '>f4'])
def test_foreground_of_any_type(dtype):
    values = np.array([[0, 1, 2], [3, 0, 1]]).astype(dtype)
    whole = values.astype(np.float64)
    for labels in (None, [1], [1, 3], [7]):
        expected = whole != 0 if labels is None else sum(whole == label for label in labels) > 0
        found = foreground(values, labels)
        assert found.dtype == bool
        np.testing.assert_array_equal(found, expected)


def test_foreground_of_floats_that_are_off():
    values = np.array([0.0001, 0.9999, 2.0001, np.nan, -0.3], np.float32)
    assert foreground(values, None).tolist() == [False, True, True, False, False]
    assert foreground(values, [2]).tolist() == [False, False, True, False, False]
