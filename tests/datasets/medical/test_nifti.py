"""NIfTI: values, shapes, and files that are not as they should be."""

import gzip
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mmseg_textseg.datasets.medical import MedicalImageError, open_volume, parse_windows, reopen_volume, view_slice

ARRAY = np.arange(-12, 12, dtype=np.int16).reshape(2, 3, 4)


@pytest.mark.parametrize('image_class', [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize('name', ['v.nii', 'v.nii.gz', 'V.NII.GZ'])
def test_values(save_nifti, name, image_class):
    volume = open_volume(save_nifti(name, ARRAY, image_class=image_class))
    np.testing.assert_array_equal(volume.values[:, :, 2], ARRAY[:, :, 2])
    np.testing.assert_array_equal(volume.values[1, :, :], ARRAY[1])
    assert volume.grid.spacing == (2, 3, 5)


@pytest.mark.parametrize('name', ['v.nii', 'v.nii.gz'])
def test_slope_and_intercept(tmp_path, name):
    image = nib.Nifti1Image(ARRAY, np.diag([2, 3, 5, 1]))
    image.header.set_slope_inter(0.5, -100)
    nib.save(image, tmp_path / name)
    np.testing.assert_allclose(open_volume(tmp_path / name).values[:, :, 1], ARRAY[:, :, 1] * 0.5 - 100)


def test_a_slice_of_an_uncompressed_file_is_all_that_is_read(save_nifti):
    volume = open_volume(save_nifti('v.nii', ARRAY))
    volume.values[:, :, 0]
    assert isinstance(volume.values._array, np.memmap)


def test_units(save_nifti, tmp_path):
    image = nib.Nifti1Image(ARRAY, np.diag([2000, 3000, 5000, 1]))
    image.header.set_xyzt_units('micron')
    nib.save(image, tmp_path / 'v.nii')
    assert open_volume(tmp_path / 'v.nii').grid.spacing == pytest.approx((2, 3, 5))


def test_a_picture_of_two_dimensions(save_nifti):
    volume = open_volume(save_nifti('v.nii', ARRAY[:, :, 1]))
    np.testing.assert_array_equal(volume.plane(view_slice(volume.grid, orientation='stored')), ARRAY[:, :, 1])


def test_a_fourth_axis(save_nifti):
    path = save_nifti('v.nii.gz', np.stack([ARRAY, ARRAY + 1], axis=3))
    np.testing.assert_array_equal(open_volume(path, channel=1).values[:, :, 2], ARRAY[:, :, 2] + 1)
    for channel in (None, 2):
        with pytest.raises(MedicalImageError, match=r'v\.nii\.gz has 2 volumes .*set channel to one, 0 to 1'):
            open_volume(path, channel=channel)
    single = save_nifti('s.nii', ARRAY[..., None])
    np.testing.assert_array_equal(open_volume(single).values[:, :, 2], ARRAY[:, :, 2])
    with pytest.raises(MedicalImageError, match='no channel 1: leave channel out'):
        open_volume(single, channel=1)
    with pytest.raises(MedicalImageError, match='has the shape'):
        open_volume(save_nifti('f.nii', np.zeros((2, 2, 2, 2, 2), np.int16)))


@pytest.mark.parametrize('name', ['v.nii', 'v.nii.gz'])
def test_a_file_that_is_cut_off(save_nifti, name):
    path = Path(save_nifti(name, np.random.default_rng(0).integers(0, 999, (9, 9, 9)).astype(np.int16)))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(MedicalImageError, match=rf'{name} is damaged or cut off .*: get it anew'):
        open_volume(path).values[:, :, 8]


def test_what_is_no_nifti(tmp_path):
    for name, content in (
        ('a.nii', b'text'),
        ('b.nii.gz', b'text'),
        ('c.nii.gz', gzip.compress(b'x' * 400)),
        ('d.nii', b''),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MedicalImageError, match=rf'{name} is not a NIfTI file'):
            open_volume(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r'no volume .*gone\.nii'):
        open_volume(tmp_path / 'gone.nii')


def test_types_and_affines_that_are_no_volume(save_nifti):
    with pytest.raises(MedicalImageError, match='complex64 values: expected one number a voxel'):
        open_volume(save_nifti('c.nii', ARRAY.astype(np.complex64)))
    flat = np.diag([2.0, 3, 5, 1])
    flat[2, 2] = 0
    image = nib.Nifti1Image(ARRAY, np.diag([2, 3, 5, 1]))
    image.header['srow_z'], image.header['sform_code'] = flat[2], 1
    path = save_nifti('f.nii', ARRAY)
    with open(path, 'r+b') as file:
        file.write(image.header.binaryblock)
    with pytest.raises(MedicalImageError, match='maps its voxels to no volume: mend its header'):
        open_volume(path)


def test_without_the_library(monkeypatch, save_nifti):
    path = save_nifti('v.nii', ARRAY)
    monkeypatch.setitem(sys.modules, 'nibabel', None)
    with pytest.raises(ImportError, match=r"needs nibabel: pip install 'mmseg_textseg\[data\]'"):
        open_volume(path)


def test_percentiles_are_of_what_is_not_air(save_nifti):
    array = np.zeros((10, 10, 2), np.float32)
    array[:5, :, 0] = np.arange(1, 51).reshape(5, 10)
    array[9, 9, 1] = np.nan
    volume = open_volume(save_nifti('v.nii', array))
    (window,) = parse_windows('p0,p100')
    assert volume.bounds(window) == (1, 50)
    (window,) = parse_windows('p50,p100')
    assert volume.bounds(window) == (25.5, 50)
    view = view_slice(volume.grid, orientation='stored', index=1)
    assert volume.picture(view, parse_windows('p0,p100')).max() == 0


def test_the_last_two_are_kept(save_nifti):
    paths = [save_nifti(f'{i}.nii.gz', ARRAY + i) for i in range(3)]
    first = reopen_volume(paths[0])
    assert reopen_volume(paths[1]) is not first
    assert reopen_volume(paths[0]) is first
    reopen_volume(paths[1])
    reopen_volume(paths[2])
    assert reopen_volume(paths[0]) is not first
    save_nifti('0.nii.gz', np.zeros((9, 9, 9), np.int16))
    assert reopen_volume(paths[0]).grid.shape == (9, 9, 9)
