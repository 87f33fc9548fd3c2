"""Where a voxel of the patient comes to lie in the picture, and which voxels of a mask lie on those of an image."""

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mmseg_textseg.datasets.medical import MedicalImageError, align, check_axes, open_volume, view_slice

AXES = ['RAS', 'LPS', 'LAS', 'LPI', 'PIR', 'SLA', 'AIL']
SHAPE = (4, 5, 6)  # to the right, front, head
RAS = np.array([[2.0, 0, 0, -10], [0, 3, 0, 20], [0, 0, 5, 30], [0, 0, 0, 1]])


def marked():
    """A volume in RAS whose voxel at the patient's left, front and head is marked."""
    array = np.zeros(SHAPE, np.int16)
    array[0, -1, -1] = 100
    return array


def shown(path, plane, orientation, **options):
    """The slice with the mark, and its view."""
    volume = open_volume(path, **options)
    place = np.argwhere(np.asarray(volume.values[:, :, :]) == 100)[0]
    axis = view_slice(volume.grid, plane, orientation, 0).axis
    view = view_slice(volume.grid, plane, orientation, int(place[axis]))
    return volume.plane(view), view


# Radiological: the patient's left is on the picture's right, front or head at the top; sagittal: front on the left.
@pytest.mark.parametrize(
    ('plane', 'orientation', 'shape', 'place', 'spacing'),
    [
        ('axial', 'radiological', (5, 4), (0, 3), (3, 2)),
        ('axial', 'neurological', (5, 4), (0, 0), (3, 2)),
        ('coronal', 'radiological', (6, 4), (0, 3), (5, 2)),
        ('coronal', 'neurological', (6, 4), (0, 0), (5, 2)),
        ('sagittal', 'radiological', (6, 5), (0, 0), (5, 3)),
        ('sagittal', 'neurological', (6, 5), (0, 0), (5, 3)),
    ],
)
@pytest.mark.parametrize('axes', AXES)
def test_the_patients_left_front_and_head(save_nifti, axes, plane, orientation, shape, place, spacing):
    picture, view = shown(save_nifti('v.nii', marked(), axes=axes), plane, orientation)
    assert picture.shape == shape
    assert [tuple(found) for found in np.argwhere(picture)] == [place]
    assert view.pixel_spacing == pytest.approx(spacing)
    assert view.grid.axes == axes


def test_stored_is_as_the_array(save_nifti):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    volume = open_volume(save_nifti('v.nii', array, axes='RAS'))
    np.testing.assert_array_equal(volume.plane(view_slice(volume.grid, 'axial', 'stored', 1)), array[:, :, 1])


def test_oblique_goes_by_the_nearest_axes(save_nifti):
    turned = RAS.copy()
    turned[:3, :3] = Rotation.from_euler('xyz', [20, -15, 10], degrees=True).as_matrix() @ RAS[:3, :3]
    picture, view = shown(save_nifti('v.nii', marked(), turned), 'axial', 'radiological')
    assert np.argwhere(picture).tolist() == [[0, 3]]
    assert view.pixel_spacing == pytest.approx((3, 2))


@pytest.mark.parametrize('known', [False, True])
def test_a_file_that_does_not_say(save_nifti, tmp_path, known):
    """The identity is what tools write that do not know; and neither sform nor qform."""
    if known:
        path = save_nifti('v.nii', marked(), np.eye(4))
    else:
        image = nib.Nifti1Image(marked(), None)
        image.header.set_zooms((2, 3, 5))
        path = str(tmp_path / 'v.nii')
        nib.save(image, path)
    volume = open_volume(path)
    assert volume.grid.spacing == (None if known else (2, 3, 5))
    with pytest.raises(MedicalImageError, match=r'v\.nii does not say where its axes point.*default_axes'):
        view_slice(volume.grid, index=5)
    view = view_slice(open_volume(path, default_axes='RAS').grid, index=5)
    assert np.argwhere(volume.plane(view)).tolist() == [[0, 3]]
    assert volume.plane(view_slice(volume.grid, orientation='stored', index=5)).shape == (4, 5)


@pytest.mark.parametrize('axes', ['RA', 'RLS', 'ras', 'XYZ'])
def test_what_are_no_axes(axes):
    with pytest.raises(ValueError, match='default_axes'):
        check_axes(axes)


@pytest.mark.parametrize(
    ('index', 'words'),
    [(None, r'has 6 axial slices: say which, 0 to 5'), (6, r'no slice 6: .* are 0 to 5'), (-1, '-1')],
)
def test_slices_that_are_not_there(save_nifti, index, words):
    grid = open_volume(save_nifti('v.nii', marked())).grid
    with pytest.raises(MedicalImageError, match=words):
        view_slice(grid, index=index)


def test_one_slice_of_another_plane(save_nifti):
    grid = open_volume(save_nifti('v.nii', marked()[:, :1])).grid
    with pytest.raises(MedicalImageError, match="one coronal slice, not axial: set plane='coronal'"):
        view_slice(grid)
    assert view_slice(grid, 'coronal').index == 0


@pytest.mark.parametrize('option', [dict(plane='transverse'), dict(orientation='mirrored')])
def test_unknown_words(save_nifti, option):
    grid = open_volume(save_nifti('v.nii', marked())).grid
    with pytest.raises(ValueError, match='expected one of'):
        view_slice(grid, index=0, **option)


@pytest.mark.parametrize('plane', ['axial', 'coronal', 'sagittal'])
@pytest.mark.parametrize('axes', AXES)
def test_a_mask_in_another_orientation(save_nifti, axes, plane):
    values = np.random.default_rng(0).permutation(np.prod(SHAPE)).reshape(SHAPE).astype(np.int16)
    image = open_volume(save_nifti('i.nii', values, axes='LPS'))
    mask = open_volume(save_nifti('m.nii', values, axes=axes))
    alignment = align(mask.grid, image.grid)
    for index in (0, 2):
        view = view_slice(image.grid, plane, 'radiological', index)
        np.testing.assert_array_equal(mask.plane_on(alignment, view), image.plane(view))


def test_an_image_that_is_one_slice_of_the_masks_volume(save_nifti):
    values = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    place = RAS.copy()
    place[2, 3] += 3 * 5
    place[2, 2] = 1  # the thickness of one slice says nothing about where the next would be
    image = open_volume(save_nifti('i.nii', values[:, :, 3:4], place))
    mask = open_volume(save_nifti('m.nii', values, axes='LPS'))
    view = view_slice(image.grid)
    np.testing.assert_array_equal(mask.plane_on(align(mask.grid, image.grid), view), image.plane(view))


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda affine: affine + np.diag([0.5, 0, 0, 0]), 'do not lie on the same voxels'),  # another spacing
        (
            lambda affine: affine + np.eye(4)[:, [3]] @ [[0, 0, 0, 0]] + np.array([[0, 0, 0, 1]] * 3 + [[0] * 4]),
            'do not',
        ),
        (lambda affine: np.diag([-1, 1, 1, 1]) @ affine, 'do not lie on the same voxels'),  # mirrored elsewhere
        (lambda affine: np.eye(4), 'the mask does not say where its voxels lie'),
    ],
)
def test_affines_that_differ(save_nifti, change, words):
    image = open_volume(save_nifti('image.nii', marked())).grid
    mask = open_volume(save_nifti('mask.nii', marked(), change(RAS))).grid
    with pytest.raises(
        MedicalImageError, match=rf'mask .*mask\.nii and image .*image\.nii.*{words}.*same_affine=False'
    ):
        align(mask, image)
    assert align(mask, image, same_affine=False).order == (0, 1, 2)


def test_small_differences_are_rounding(save_nifti):
    moved = RAS.copy()
    moved[:3, 3] += 0.3  # less than a quarter of 2 mm
    image, mask = (open_volume(save_nifti(f'{i}.nii', marked(), a)).grid for i, a in enumerate((RAS, moved)))
    assert align(mask, image).starts == (0, 0, 0)


def test_shapes_that_differ(save_nifti):
    image = open_volume(save_nifti('image.nii', marked())).grid
    mask = open_volume(save_nifti('mask.nii', marked()[:-1])).grid
    for same_affine in (True, False):
        with pytest.raises(MedicalImageError, match='3 x 5 x 6 and 4 x 5 x 6 voxels: they must have one shape'):
            align(mask, image, same_affine)
