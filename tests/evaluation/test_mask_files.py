"""Masks as files: pictures as PNG, slices of NIfTI volumes back in their place in a label volume."""

import cv2
import nibabel as nib
import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from mmseg_textseg.datasets.medical import MedicalImageError
from mmseg_textseg.evaluation import TextSegMetric
from mmseg_textseg.evaluation.mask_files import write_mask

# Oblique steps of 2, 3 and 5 mm, the first axis to the back, the second to the left, the third to the feet.
AFFINE = np.array([[0.1, -2.99, 0.2, 40.0], [-1.99, -0.1, 0.1, 20.0], [0.05, 0.2, -4.99, 30.0], [0, 0, 0, 1]])
SHAPE = (7, 5, 4)


@pytest.fixture
def volume(tmp_path):
    """Function (name, folder) -> paths of a CT and of its labels, which it returns too."""

    def make(name='ct', folder='', shape=SHAPE):
        rng = np.random.default_rng(len(name + folder))
        labels = (rng.random(shape) < 0.4).astype(np.uint8)
        image = nib.Nifti1Image(rng.integers(-500, 500, shape).astype(np.int16), AFFINE)
        image.header.extensions.append(nib.nifti1.Nifti1Extension('comment', b'name of a patient'))
        image.header['cal_max'] = 500
        paths = []
        for kind, content in (('images', image), ('labels', nib.Nifti1Image(labels, AFFINE))):
            path = tmp_path / folder / kind / f'{name}.nii.gz'
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(content, path)
            paths.append(str(path))
        return (*paths, labels)

    return make


def load(image, labels, slices, plane='axial', orientation='radiological', texts=('the lesion',)):
    """Samples of a test pipeline whose prediction is the truth."""
    init_default_scope('mmseg')
    pipeline = Compose(
        [
            dict(type='LoadMedicalImage', window=(0, 1000), plane=plane, orientation=orientation),
            dict(type='LoadMedicalMask'),
            dict(type='PackTextSegInputs', meta_keys=('img_path', 'seg_map_path', 'ori_shape', 'slice_view')),
        ]
    )
    samples = []
    for number in slices:
        for k, text in enumerate(texts):
            name = f'{image}-{number}-{k}'.replace('/', '_')
            item = dict(img_path=image, seg_map_path=labels, attributes=dict(slice=number), text=text, sample_id=name)
            sample = pipeline({**item, 'seg_fields': []})['data_samples']
            sample.pred_sem_seg = sample.gt_sem_seg.clone()
            samples.append(sample.to_dict())
    return samples


def save(samples, out):
    metric = TextSegMetric(output_dir=str(out), save_masks=True)
    for sample in samples:
        metric.process({}, [sample])
    metric.evaluate(len(samples))
    return {path.name: path for path in sorted((out / 'masks').iterdir())}


@pytest.mark.parametrize('orientation', ['radiological', 'neurological'])
@pytest.mark.parametrize('plane', ['axial', 'coronal', 'sagittal'])
def test_slices_return_to_where_they_were_cut(volume, tmp_path, plane, orientation):
    image, labels, truth = volume()
    axis = dict(axial=2, coronal=0, sagittal=1)[plane]
    files = save(load(image, labels, range(SHAPE[axis]), plane, orientation), tmp_path / 'out')
    assert list(files) == ['ct-0.nii.gz']
    written = nib.load(files['ct-0.nii.gz'])
    assert np.array_equal(np.asanyarray(written.dataobj), truth)
    source = nib.load(image)
    assert np.array_equal(written.affine, source.affine)
    for key in ('sform_code', 'qform_code', 'pixdim', 'xyzt_units'):
        assert np.array_equal(written.header[key], source.header[key])
    assert written.get_data_dtype() == np.uint8
    assert (written.dataobj.slope, written.dataobj.inter, written.header['cal_max']) == (1, 0, 0)
    assert list(written.header.extensions) == [], "nothing of the patient's"


def test_slices_that_are_not_there_stay_empty(volume, tmp_path):
    image, labels, truth = volume()
    files = save(load(image, labels, [3, 1]), tmp_path / 'out')
    written = np.asanyarray(nib.load(files['ct-0.nii.gz']).dataobj)
    assert np.array_equal(written[..., [1, 3]], truth[..., [1, 3]])
    assert not written[..., [0, 2]].any()


def test_a_volume_for_each_sentence_and_each_mask(volume, tmp_path):
    """Three sentences of slice 0 and one of slice 1; a second mask of the same CT; a CT of the same name elsewhere."""
    image, labels, truth = volume()
    other, other_labels, other_truth = volume(folder='second hospital')
    nib.save(nib.Nifti1Image(1 - truth, AFFINE), tmp_path / 'rest.nii')
    samples = load(image, labels, [0], texts=['one', 'two', 'three'])
    samples += load(image, labels, [1])
    samples += load(image, str(tmp_path / 'rest.nii'), [1])
    samples += load(other, other_labels, [1])
    files = save(samples, tmp_path / 'out')
    found = {name: np.asanyarray(nib.load(path).dataobj) for name, path in files.items()}
    assert set(found) == {'ct-0.nii.gz', 'ct-1.nii.gz', 'ct-2.nii.gz', 'ct-rest-0.nii.gz', 'ct-0~2.nii.gz'}
    assert np.array_equal(found['ct-0.nii.gz'][..., :2], truth[..., :2])
    for name in ('ct-1.nii.gz', 'ct-2.nii.gz'):
        assert np.array_equal(found[name][..., 0], truth[..., 0])
        assert not found[name][..., 1:].any()
    assert np.array_equal(found['ct-rest-0.nii.gz'][..., 1], 1 - truth[..., 1])
    assert np.array_equal(found['ct-0~2.nii.gz'][..., 1], other_truth[..., 1])
    assert not np.array_equal(truth[..., 1], other_truth[..., 1])


def test_flat_and_multi_channel_files_keep_their_first_three_axes(volume, tmp_path):
    image, labels, truth = volume(shape=(6, 5, 1))
    channels = np.zeros((6, 5, 1, 3), np.float32)
    nib.save(nib.Nifti2Image(channels, AFFINE), image)
    samples = load(labels, labels, [0])  # its slices need no channel
    view = samples[0]['slice_view']
    mask = samples[0]['pred_sem_seg']['data'][0].numpy()
    stored = write_mask(tmp_path, dict(img_path=image, seg_map_path=labels, slice_view=view), 'x', mask)
    assert np.array_equal(stored.mask(), truth[..., 0])
    files = save([{**samples[0], 'img_path': image}], tmp_path / 'out')
    written = nib.load(files['ct-0.nii.gz'])
    assert isinstance(written, nib.Nifti2Image)
    assert np.array_equal(np.asanyarray(written.dataobj), truth)


def test_a_mask_of_another_size_does_not_fit_its_volume(volume, tmp_path):
    image, labels, _ = volume()
    (sample,) = load(image, labels, [0])
    with pytest.raises(MedicalImageError, match=r'ct\.nii\.gz: the mask of slice 0 is 9 x 9, the slice 7 x 5'):
        write_mask(tmp_path, sample, 'x', np.zeros((9, 9), np.uint8))


def test_pictures_and_slices_without_a_view_are_png(volume, tmp_path):
    image, labels, truth = volume()
    samples = load(image, labels, [2], orientation='neurological')
    shown = samples[0]['pred_sem_seg']['data'][0].numpy()
    del samples[0]['slice_view']
    picture = {**samples[0], 'img_path': 'b.png', 'sample_id': 'b'}
    files = save([*samples, picture], tmp_path / 'out')
    assert len(files) == 2
    for path in files.values():
        assert np.array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), shown * 255)
    assert shown.sum() == truth[..., 2].sum() > 0


def test_the_same_masks_are_the_same_bytes(volume, tmp_path):
    image, labels, _ = volume()
    first, second = (save(load(image, labels, [0, 1]), tmp_path / out)['ct-0.nii.gz'] for out in 'ab')
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes()[4:8] == bytes(4), 'no time in the gzip header'
