"""DICOM files and series: values, windows, order of slices, and what is refused."""

import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.sequence import Sequence

from mmseg_textseg.datasets.medical import MedicalImageError, align, open_volume, parse_windows, view_slice

HU = np.array([[-1000, 0, 30], [60, 105, 400]], np.int16)
VOLUME = np.arange(24, dtype=np.int16).reshape(2, 3, 4)  # rows, columns, slices


def picture(path, window=None, index=None, **options):
    volume = open_volume(path)
    return volume.picture(view_slice(volume.grid, index=index, **options), parse_windows(window))


def test_hounsfield_units_and_spacing(save_dicom):
    path = save_dicom('a.dcm', (HU + 1024).astype(np.uint16), RescaleSlope=1, RescaleIntercept=-1024)
    volume = open_volume(path)
    np.testing.assert_array_equal(volume.values[:, :, 0], HU)
    assert volume.grid.spacing == (3, 2, 5)
    # level 30, width 150: -45 ... 105
    np.testing.assert_array_equal(picture(path, 'liver'), [[0, 76, 128], [178, 255, 255]])


def test_slope(save_dicom):
    path = save_dicom('a.dcm', HU.astype(np.uint16), RescaleSlope=0.5, RescaleIntercept=10)
    np.testing.assert_array_equal(open_volume(path).values[:, :, 0], HU.astype(np.uint16) * 0.5 + 10)


def test_the_least_value_is_white(save_dicom):
    path = save_dicom('a.dcm', HU, PhotometricInterpretation='MONOCHROME1')
    np.testing.assert_array_equal(picture(path, 'liver'), 255 - np.array([[0, 76, 128], [178, 255, 255]]))
    path = save_dicom('b.dcm', np.array([[0, 200]], np.uint8), PhotometricInterpretation='MONOCHROME1')
    np.testing.assert_array_equal(picture(path), [[255, 55]])


@pytest.mark.parametrize(
    ('function', 'expected'),
    [
        # Level 10.5, width 11. LINEAR: 10 - 5 ... 10 + 5 (PS3.3 C.11.2.1.2.1).
        (None, [0, 0, 51, 128, 255, 255]),
        ('LINEAR', [0, 0, 51, 128, 255, 255]),
        # 5 ... 16: 2 / 11 and 5 / 11 of 255.
        ('LINEAR_EXACT', [0, 0, 46, 116, 232, 255]),
        # 255 / (1 + exp(-4 (x - 10.5) / 11))
        ('SIGMOID', [5, 30, 56, 116, 213, 247]),
    ],
)
def test_the_files_own_window(save_dicom, function, expected):
    values = np.array([[0, 5, 7, 10, 15, 20]], np.int16)
    # Levels and widths of several windows: the first.
    path = save_dicom('a.dcm', values, WindowCenter=[10.5, 99], WindowWidth=[11, 99], VOILUTFunction=function)
    assert np.abs(picture(path, 'dicom').astype(int) - [expected]).max() <= 1


def test_the_files_own_table(save_dicom):
    table = pydicom.Dataset()
    table.add_new('LUTDescriptor', 'US', [4, 10, 10])  # four entries from the value 10 on, of 10 bits
    table.add_new('LUTData', 'US', [0, 341, 682, 1023])
    path = save_dicom('a.dcm', np.array([[0, 10, 11, 12, 13, 99]], np.uint16), VOILUTSequence=Sequence([table]))
    np.testing.assert_array_equal(picture(path, 'dicom'), [[0, 0, 85, 170, 255, 255]])


def test_windows_that_do_not_fit(save_dicom):
    path = save_dicom('a.dcm', HU, Modality='MR')
    with pytest.raises(MedicalImageError, match=r"a\.dcm is MR, and the window 'liver' is in Hounsfield units"):
        picture(path, 'liver')
    with pytest.raises(MedicalImageError, match=r'a\.dcm has no window of its own: choose'):
        picture(path, 'dicom')
    with pytest.raises(MedicalImageError, match=r'a\.dcm has more than 8 bits and needs a window'):
        picture(path)
    assert picture(path, (30, 150))[0, 2] == 128


def test_three_windows(save_dicom):
    three = picture(save_dicom('a.dcm', HU), ['lung', 'liver', (0, 2)])
    assert three.shape == (2, 3, 3)
    np.testing.assert_array_equal(three[..., 1], [[0, 76, 128], [178, 255, 255]])
    assert three[0, 0].tolist() == [0, 0, 60]  # blue, green, red; lung: -1350 ... 150
    assert three[0, 1].tolist() == [128, 76, 230]


def test_colour(save_dicom):
    path = save_dicom('a.dcm', np.full((2, 2, 3), (10, 20, 30), np.uint8), ImageOrientationPatient=None)
    assert picture(path)[0, 0].tolist() == [30, 20, 10]


def test_a_picture_without_a_patient_is_shown_as_it_is(save_dicom):
    path = save_dicom('a.dcm', np.array([[1, 2], [3, 4]], np.uint8), Modality='DX', ImageOrientationPatient=None)
    np.testing.assert_array_equal(picture(path), [[1, 2], [3, 4]])


# Where the picture's columns and rows run in DICOM's coordinates (left, back, head), and what comes to the top left.
@pytest.mark.parametrize(
    ('cosines', 'plane', 'expected'),
    [
        ([1, 0, 0, 0, 1, 0], 'axial', [[1, 2], [3, 4]]),
        ([-1, 0, 0, 0, 1, 0], 'axial', [[2, 1], [4, 3]]),
        ([1, 0, 0, 0, -1, 0], 'axial', [[3, 4], [1, 2]]),  # lying on the belly
        ([0, 1, 0, 1, 0, 0], 'axial', [[1, 3], [2, 4]]),
        ([1, 0, 0, 0, 0, -1], 'coronal', [[1, 2], [3, 4]]),
        ([0, 1, 0, 0, 0, 1], 'sagittal', [[3, 4], [1, 2]]),
    ],
)
def test_orientation(save_dicom, cosines, plane, expected):
    path = save_dicom('a.dcm', np.array([[1, 2], [3, 4]], np.uint8), ImageOrientationPatient=cosines)
    np.testing.assert_array_equal(picture(path, plane=plane), expected)


def test_a_series_is_sorted_by_position(save_series):
    volume = open_volume(save_series('s', VOLUME, SpacingBetweenSlices=1))
    for k in range(4):
        np.testing.assert_array_equal(volume.values[:, :, k], VOLUME[..., k])
    np.testing.assert_array_equal(volume.values[:, 1, :], VOLUME[:, 1])
    assert volume.grid.axes == 'PLS'
    assert volume.grid.spacing == (3, 2, 5)  # 5 from the positions


def test_other_files_of_the_folder_are_left_alone(save_series, tmp_path):
    folder = save_series('s', VOLUME)
    for name in ('DICOMDIR', '.DS_Store', 'LICENSE.txt'):
        (tmp_path / 's' / name).write_text('x')
    (tmp_path / 's' / 'more').mkdir()
    assert open_volume(folder).grid.shape == (2, 3, 4)


def test_a_mask_in_nifti_of_a_series(save_series, save_nifti):
    """A converter stores (column, row, slice) with an affine to the right, front, head."""
    image = open_volume(save_series('s', VOLUME))
    affine = np.diag([-2.0, -3, 5, 1])
    mask = open_volume(save_nifti('m.nii', VOLUME.transpose(1, 0, 2), affine))
    view = view_slice(image.grid, index=2)
    np.testing.assert_array_equal(mask.plane_on(align(mask.grid, image.grid), view), VOLUME[..., 2])


def test_several_frames(save_dicom):
    frames = []
    for k in (2, 0, 1):
        place, frame = pydicom.Dataset(), pydicom.Dataset()
        place.ImagePositionPatient = [0, 0, 4.0 * k]
        frame.PlanePositionSequence = Sequence([place])
        frames.append(frame)
    turned, measured, shared = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    turned.ImageOrientationPatient, measured.PixelSpacing = [1, 0, 0, 0, 1, 0], [3, 2]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([turned]), Sequence([measured])
    path = save_dicom('a.dcm', np.ascontiguousarray(VOLUME.transpose(2, 0, 1)[:3]), NumberOfFrames=3,
                      PerFrameFunctionalGroupsSequence=Sequence(frames),
                      SharedFunctionalGroupsSequence=Sequence([shared]), ImagePositionPatient=None,
                      ImageOrientationPatient=None, PixelSpacing=None)  # fmt: skip
    volume = open_volume(path)
    assert volume.grid.spacing == (3, 2, 4)
    for k, frame in enumerate((1, 2, 0)):
        np.testing.assert_array_equal(volume.values[:, :, k], VOLUME[..., frame])


def test_a_film_is_pictures_one_after_the_other(save_dicom):
    path = save_dicom('a.dcm', np.arange(12, dtype=np.uint8).reshape(3, 2, 2), NumberOfFrames=3, Modality='US')
    np.testing.assert_array_equal(picture(path, index=2), [[8, 9], [10, 11]])
    with pytest.raises(MedicalImageError, match='has 3 pictures: say which, 0 to 2'):
        picture(path)


@pytest.mark.parametrize(
    ('positions', 'elements', 'words'),
    [
        ([0, 5, 15, 20], {}, r'003 and .*002 are 10 mm apart, other slices of .*/s 5 mm: a slice is missing'),
        ([0, 5, 10, 13], {}, r'are 3 mm apart'),
        ([0, 5, 5, 10], {}, 'lie at one place, so .* holds several volumes'),
        ([0, 5, 10, 15], dict(PixelSpacing=None), 'not its PixelSpacing: mend the header'),
        ([0, 5, 10, 15], dict(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), 'at right angles'),
        ([0, 5, 10, 15], dict(ImagePositionPatient=None), r'has 4 files that do not say where they lie'),
    ],
)
def test_slices_that_are_no_stack(save_series, positions, elements, words):
    with pytest.raises(MedicalImageError, match=words):
        open_volume(save_series('s', VOLUME, positions, **elements))


def test_positions_that_were_rounded(save_series):
    assert open_volume(save_series('s', VOLUME, [0, 1.2, 2.5, 3.8])).grid.shape == (2, 3, 4)


@pytest.mark.parametrize(
    ('elements', 'words'),
    [
        (dict(SeriesInstanceUID='1.2.4'), r'/s holds 2 series: 1\.2\..* \(\d slices?\).*: put each into a folder'),
        (
            dict(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]),
            'another size, pixel spacing or direction .*without scouts',
        ),
        (dict(PixelSpacing=[1, 1]), 'another size, pixel spacing or direction'),
    ],
)
def test_a_file_of_another_stack(save_series, save_dicom, elements, words):
    folder = save_series('s', VOLUME)
    save_dicom('s/scout', VOLUME[..., 0].copy(), **elements)
    with pytest.raises(MedicalImageError, match=words):
        open_volume(folder)


def test_files_that_cannot_be_read(save_dicom, save_series, tmp_path):
    path = Path(save_dicom('a.dcm', HU))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(MedicalImageError, match=r'a\.dcm: its pixels cannot be decoded .*: get the file anew'):
        picture(path, 'liver')
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(MedicalImageError, match=r'a\.dcm'):
        open_volume(path)
    path.write_bytes(b'text')
    with pytest.raises(MedicalImageError, match=r'a\.dcm is not a DICOM file that pydicom reads .*: get it anew'):
        open_volume(path)
    folder = Path(save_series('s', VOLUME))
    (folder / 'broken.dcm').write_bytes(b'')
    with pytest.raises(MedicalImageError, match=r'broken\.dcm does not begin like a DICOM file'):
        open_volume(folder)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(MedicalImageError, match='empty has no DICOM files in it'):
        open_volume(tmp_path / 'empty')


def test_what_holds_no_image(save_dicom):
    with pytest.raises(MedicalImageError, match=r'a\.dcm is SEG and holds no slices of an image.*exported as NIfTI'):
        open_volume(save_dicom('a.dcm', HU, Modality='SEG'))
    with pytest.raises(MedicalImageError, match='PALETTE COLOR: expected grey'):
        picture(save_dicom('b.dcm', HU.astype(np.uint8), PhotometricInterpretation='PALETTE COLOR'))


def test_without_the_library(monkeypatch, save_dicom):
    path = save_dicom('a.dcm', HU)
    monkeypatch.setitem(sys.modules, 'pydicom', None)
    with pytest.raises(ImportError, match=r"needs pydicom: pip install 'mmseg_textseg\[data\]'"):
        open_volume(path)
