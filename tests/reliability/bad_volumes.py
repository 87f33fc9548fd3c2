"""CT and MRI: NIfTI, DICOM, and pictures of more than 8 bits."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from bad_input import Case, Place, cut, dataset, noise, rows
from bad_pictures import empty, floats, image, values

from mmseg_textseg.datasets.medical import MedicalImageError


def medical(folder: Path, **options) -> dict:
    steps = [dict(type='LoadMedicalImage', **options)]
    if (folder / 'mask').is_dir():
        steps.append(dict(type='LoadMedicalMask'))
    return dataset(folder, steps)[0]


def windowed(folder: Path) -> dict:
    return medical(folder, window=(0.5, 1))


def nifti(*shape: int, odd: float = 0, affine: np.ndarray | None = None) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        array = np.linspace(0.25, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
        array[0, 0] = odd
        nib.save(nib.Nifti1Image(array, np.diag([-2.0, -3, 5, 1]) if affine is None else affine), path)

    return make


def another_place(place: Place) -> Path:
    folder = rows(image('a.nii', nifti(8, 8, 1))(place), 'a.nii', 'a.nii')
    (folder / 'mask').mkdir()
    nifti(8, 8, 1, affine=np.diag([-2.0, -3, 5, 1]) + np.array([[0, 0, 0, 1.0]] + [[0] * 4] * 3))(
        folder / 'mask' / 'a.nii'
    )
    return folder


def no_series(path: Path) -> None:
    path.mkdir()
    (path / 'notes.txt').touch()


def nan_is_black(folder: Path) -> None:
    loaded = windowed(folder)['img'][..., 0]
    assert loaded[0].tolist()[-1] == 0
    assert loaded[-1, -1] == 255


def infinity_is_left_out(folder: Path) -> None:
    loaded = medical(folder, window='p0,p100')['img']
    assert loaded.min() == 0
    assert loaded.max() == 255
    assert 0 < np.median(loaded) < 255


CASES = [
    Case(
        '16 bits without a window',
        image('a.png', values(noise(8, 8, 1).astype(np.uint16))),
        medical,
        MedicalImageError,
        ('a.png has more than 8 bits and needs a window', "'p0.5,p99.5'"),
    ),
    Case('NaN in a TIFF', image('a.tif', values(floats(np.nan))), nan_is_black, works='Black.'),
    Case(
        'infinite values under a window of percentiles',
        image('a.tif', values(floats(np.inf))),
        infinity_is_left_out,
        works='White or black, and left out of the percentiles.',
    ),
    Case(
        'an .npy file',
        image('a.npy', lambda path: np.save(path, floats(0))),
        medical,
        MedicalImageError,
        ('a.npy is not an image that is read here', 'expected NIfTI, DICOM, PNG or TIFF'),
    ),
    Case(
        'a NIfTI file cut off',
        image('a.nii', lambda path: (nifti(8, 8, 1)(path), cut(path, 0.9))),
        windowed,
        MedicalImageError,
        ('a.nii', 'get it anew'),
    ),
    Case(
        'a NIfTI file of 0 bytes',
        image('a.nii', empty),
        windowed,
        MedicalImageError,
        ('a.nii is not a NIfTI file that nibabel reads', 'get it anew'),
    ),
    Case(
        'a volume without the number of a slice',
        image('a.nii', nifti(8, 8, 3)),
        windowed,
        MedicalImageError,
        ('a.nii has 3 axial slices', 'say which'),
    ),
    Case(
        'several volumes in a NIfTI file',
        image('a.nii', nifti(8, 8, 1, 4)),
        windowed,
        MedicalImageError,
        ('a.nii has 4 volumes on one another', 'set channel to one, 0 to 3'),
    ),
    Case(
        'a mask volume that lies elsewhere',
        another_place,
        windowed,
        MedicalImageError,
        ('mask', 'a.nii and image', 'a.nii do not lie on the same voxels', 'resample the mask to the image'),
    ),
    Case(
        'a DICOM file of 0 bytes',
        image('a.dcm', empty),
        windowed,
        MedicalImageError,
        ('a.dcm is not a DICOM file that pydicom reads', 'get it anew'),
    ),
    Case(
        'a folder without DICOM',
        image('a', no_series),
        windowed,
        MedicalImageError,
        ('a has no DICOM files in it', 'give the folder that holds the slices of one series'),
    ),
]
