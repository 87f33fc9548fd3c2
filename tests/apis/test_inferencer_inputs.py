"""Every kind of picture that TextSegInferencer takes, and what it says of those it does not."""

import cv2
import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from mmseg_textseg.apis import ConfigError, TextSegInferencer, load_config
from mmseg_textseg.datasets.medical import MedicalImageError

LEFT = 'The lesion in the left lobe.'
LEVEL, WIDTH = 40, 400
SHAPE = (48, 40, 5)  # left, back, head


@pytest.fixture(scope='module')
def hounsfield() -> np.ndarray:
    """A volume with a gradient and two blocks, whose slices differ."""
    values = np.linspace(-300, 400, SHAPE[0])[:, None, None] * np.ones(SHAPE)
    values[10:20, 5:30] = 150
    values[:, 30:, :] += np.arange(5) * 40
    return values.round().astype(np.int16)


@pytest.fixture(scope='module')
def nifti(hounsfield, tmp_path_factory) -> str:
    """2 mm to the left, 3 to the back, 5 to the head."""
    path = tmp_path_factory.mktemp('nifti') / 'ct.nii.gz'
    nib.save(nib.Nifti1Image(hounsfield, np.diag([-2.0, -3.0, 5.0, 1.0])), path)
    return str(path)


@pytest.fixture(scope='module')
def dicom(hounsfield, tmp_path_factory) -> str:
    """Slice 2 of the same, under a name without an ending."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = pydicom.Dataset()
    file.file_meta = meta
    file.SOPClassUID, file.SOPInstanceUID, file.Modality = CTImageStorage, meta.MediaStorageSOPInstanceUID, 'CT'
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, 'MONOCHROME2'
    file.Columns, file.Rows = SHAPE[:2]
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 16, 15, 1
    file.PixelSpacing, file.ImageOrientationPatient = [3, 2], [1, 0, 0, 0, 1, 0]
    file.ImagePositionPatient, file.RescaleSlope, file.RescaleIntercept = [0, 0, 10], 1, 0
    file.WindowCenter, file.WindowWidth = 90, 100
    file.PixelData = np.ascontiguousarray(hounsfield[:, :, 2].T).tobytes()
    path = tmp_path_factory.mktemp('dicom') / 'IM0001'
    file.save_as(path, enforce_file_format=True)
    return str(path)


def windowed(values: np.ndarray, level: float = LEVEL, width: float = WIDTH) -> np.ndarray:
    """Grey by hand: level - width / 2 is black, level + width / 2 white."""
    return np.rint(np.clip((values - (level - width / 2)) / width, 0, 1) * 255).astype(np.uint8)


def same(a, b) -> bool:
    return np.allclose(a.probability, b.probability, rtol=0, atol=1e-6)


@pytest.mark.parametrize('mode', ['RGB', 'L', '1', 'P', 'RGBA', 'LA'])
def test_a_pil_image_is_its_file(segment, tmp_path, mode):
    rng = np.random.default_rng(1)
    colours = cv2.resize(rng.integers(0, 256, (5, 4, 4), np.uint8), (44, 52), interpolation=cv2.INTER_CUBIC)
    image = Image.fromarray(colours).convert(mode)
    image.save(tmp_path / 'picture.png')
    with Image.open(tmp_path / 'picture.png') as opened:
        assert opened.mode == mode
        from_pil = segment.load(opened)
        answer = segment(opened, LEFT)
    from_file = segment.load(tmp_path / 'picture.png')
    assert np.array_equal(from_pil.results['img'], from_file.results['img'])
    assert np.array_equal(from_pil.shown, np.asarray(image.convert('RGB')))
    assert np.array_equal(from_file.shown, from_pil.shown)
    assert same(answer, segment(str(tmp_path / 'picture.png'), LEFT))


def test_exif_turns_files_and_pil_images_alike(segment, tmp_path):
    upright = np.full((60, 40, 3), 20, np.uint8)
    upright[:20, :, 0] = 220  # red above
    exif = Image.Exif()
    exif[274] = 6  # is to be turned clockwise
    path = tmp_path / 'turned.jpg'
    Image.fromarray(np.rot90(upright)).save(path, exif=exif, quality=95, subsampling=0)
    with Image.open(path) as opened:
        assert opened.size == (60, 40)
        pictures = segment.load(opened), segment.load(path)
    for picture in pictures:
        assert picture.results['ori_shape'] == (60, 40)
        assert np.abs(picture.shown.astype(int) - upright).max() < 12
    assert segment(str(path), LEFT).mask.shape == (60, 40)


def test_tiff_and_bmp(segment, phantom, tmp_path):
    png = sorted((phantom / 'images').iterdir())[0]
    expected = segment(png, LEFT)
    for ending in ('tif', 'bmp'):
        cv2.imwrite(str(tmp_path / f'picture.{ending}'), cv2.imread(str(png)))
        assert same(segment(tmp_path / f'picture.{ending}', LEFT), expected)


def test_a_slice_of_nifti_is_shown_as_radiologists_see_it(segment, nifti, hounsfield):
    answer = segment(nifti, LEFT, slice=3, window=(LEVEL, WIDTH))
    grey = windowed(hounsfield[:, :, 3].T)  # rows to the back, columns to the left
    assert np.array_equal(answer.picture, np.repeat(grey[..., None], 3, axis=2))
    assert answer.mask.shape == grey.shape
    assert same(answer, segment(grey, LEFT))
    assert answer.spacing == (3, 2)
    assert answer.area_mm2 == pytest.approx(6 * answer.mask.sum())
    coronal = segment(nifti, LEFT, slice=7, window=(LEVEL, WIDTH), plane='coronal')
    assert np.array_equal(coronal.picture[..., 0], windowed(hounsfield[:, 7, ::-1].T))


def test_dicom_has_no_need_of_a_name_or_slice(segment, dicom, hounsfield):
    answer = segment(dicom, LEFT, window=(LEVEL, WIDTH))
    assert np.array_equal(answer.picture[..., 0], windowed(hounsfield[:, :, 2].T))
    assert answer.spacing == (3, 2)
    own = segment.load(dicom, window='dicom').shown[..., 0]
    assert np.abs(own.astype(int) - windowed(hounsfield[:, :, 2].T, 90, 100)).max() <= 3


def test_deep_arrays_pil_images_and_pngs_take_a_window(segment, hounsfield, tmp_path):
    values = np.ascontiguousarray(hounsfield[:, :, 1].T)
    grey = windowed(values)
    expected = segment(grey, LEFT)
    stored = (values.astype(np.int32) + 1000).astype(np.uint16)
    cv2.imwrite(str(tmp_path / 'deep.png'), stored)
    window = (LEVEL + 1000, WIDTH)
    for image, choice in (
        (values, (LEVEL, WIDTH)),
        (values.astype(np.float64), f'{LEVEL},{WIDTH}'),
        (stored, window),
        (Image.open(tmp_path / 'deep.png'), window),
        (tmp_path / 'deep.png', window),
    ):
        answer = segment(image, LEFT, window=choice)
        assert np.array_equal(answer.picture[..., 0], grey)
        assert same(answer, expected)


def test_a_pipeline_of_medical_images_brings_its_own_window(tiny_config, checkpoint, nifti, hounsfield, phantom):
    cfg = load_config(tiny_config, checkpoint=checkpoint)
    cfg.test_dataloader.dataset.pipeline[0] = dict(type='LoadMedicalImage', window=(LEVEL, WIDTH))
    segment = TextSegInferencer(cfg, checkpoint, 'cpu')
    values = hounsfield[:, :, 3].T
    assert np.array_equal(segment(nifti, LEFT, slice=3).picture[..., 0], windowed(values))
    assert np.array_equal(segment.load(np.ascontiguousarray(values)).shown[..., 0], windowed(values))
    other = segment(nifti, LEFT, slice=3, window=(0, 1000)).picture[..., 0]
    assert np.array_equal(other, windowed(values, 0, 1000))
    png = sorted((phantom / 'images').iterdir())[0]
    assert np.array_equal(segment.load(png).shown, cv2.imread(str(png))[..., ::-1])


def test_pipelines_of_grey_or_float_pictures_get_them(tiny_config, checkpoint, phantom, nifti):
    png = str(sorted((phantom / 'images').iterdir())[0])
    cfg = load_config(tiny_config, checkpoint=checkpoint)
    loader = cfg.test_dataloader.dataset.pipeline[0]
    loader.update(color_type='grayscale', to_float32=True)
    load = TextSegInferencer(cfg, checkpoint, 'cpu').load
    of_file, of_array = load(png), load(cv2.imread(png))
    assert of_file.results['img'].ndim == 2
    assert of_file.results['img'].dtype == np.float32
    assert np.array_equal(of_file.results['img'], of_array.results['img'])
    assert np.array_equal(of_file.shown, of_array.shown)
    assert np.array_equal(of_file.shown, cv2.imread(png)[..., ::-1])
    dim = np.full((4, 4, 3), 50, np.uint8)
    dim[0] = 90
    assert np.array_equal(load(dim).shown, dim), 'not stretched'
    volume = load(nifti, dict(slice=0), window='liver').results['img']
    assert (volume.ndim, volume.dtype) == (2, np.float32)


def test_spacing_of_a_table_and_overlay(segment, phantom):
    png = sorted((phantom / 'images').iterdir())[0]
    assert segment(png, LEFT).area_mm2 is None
    assert segment.load(png, dict(pixel_spacing_mm='0.5')).spacing == (0.5, 0.5)
    answer = segment(png, LEFT)
    half = answer.above(float(np.median(answer.probability)))
    assert 0 < half.mask.sum() < half.mask.size
    drawn = half.overlay()
    assert np.array_equal(drawn[~half.mask], answer.picture[~half.mask])
    assert (drawn[half.mask] != answer.picture[half.mask]).any(axis=1).all()
    outline_only = half.overlay(0)
    assert 0 < (outline_only != answer.picture).any(axis=2).sum() < half.mask.sum()
    assert np.array_equal(answer.picture, cv2.imread(str(png))[..., ::-1]), 'drawing leaves the picture alone'


@pytest.mark.parametrize(
    ('make', 'options', 'said'),
    [
        (lambda p: p.write_text('no picture'), {}, 'wrong.png is not a picture'),
        (lambda p: p.write_bytes(b''), {}, 'wrong.png is not a picture'),
        (lambda p: p.write_text('no picture'), dict(window='liver'), 'wrong.png is not an image'),
        (lambda p: p.mkdir(), {}, 'wrong.png'),
    ],
)
def test_files_that_are_no_pictures(segment, tmp_path, make, options, said):
    make(tmp_path / 'wrong.png')
    with pytest.raises(ValueError, match=said):
        segment(tmp_path / 'wrong.png', LEFT, **options)


def test_what_volumes_need_is_said(segment, nifti):
    with pytest.raises(MedicalImageError, match='needs a window'):
        segment(nifti, LEFT, slice=1)
    with pytest.raises(MedicalImageError, match='5 axial slices'):
        segment(nifti, LEFT, window='liver')
    with pytest.raises(MedicalImageError, match='no slice 5'):
        segment(nifti, LEFT, window='liver', slice=5)
    with pytest.raises(ValueError, match='window'):
        segment(nifti, LEFT, window='livr', slice=1)
    for image in (nifti, np.zeros((4, 4), np.uint8)):
        with pytest.raises(ValueError, match=r'no option windw; .* window, plane'):
            segment(image, LEFT, windw='liver', slice=1)


@pytest.mark.parametrize(
    ('image', 'said'),
    [
        (np.zeros((4, 4), np.int16), 'the array has more than 8 bits and needs a window'),
        (np.zeros((4, 4, 3), np.float32), 'must be uint8'),
        (np.zeros((4, 4), bool), 'must be uint8'),
        (7, 'must be a path, an array or a PIL image'),
    ],
)
def test_other_images_are_refused(segment, image, said):
    with pytest.raises(ValueError, match=said):
        segment(image, LEFT)


def test_a_device_that_is_not_there(tiny_config, checkpoint):
    with pytest.raises(ConfigError, match="device 'cuda:77' cannot be used"):
        TextSegInferencer(tiny_config, checkpoint, 'cuda:77')
    with pytest.raises(ConfigError, match="device 'abacus' cannot be used"):
        TextSegInferencer(tiny_config, checkpoint, 'abacus')
