"""Files of CT and MRI, a few voxels large, made as scanners and tools write them."""

import nibabel as nib
import numpy as np
import pydicom
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

# Steps of 2, 3 and 5 mm to the right, front and head.
RAS = np.array([[2.0, 0, 0, -10], [0, 3, 0, 20], [0, 0, 5, 30], [0, 0, 0, 1]])


@pytest.fixture
def save_nifti(tmp_path):
    """Save an array as NIfTI; with ``axes``, reordered and turned so that its axes run there."""

    def save(name, array, affine=RAS, axes=None, image_class=nib.Nifti1Image):
        image = image_class(array, affine)
        if axes is not None:
            image = image.as_reoriented(ornt_transform(io_orientation(affine), axcodes2ornt(axes)))
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(image, path)
        return str(path)

    return save


@pytest.fixture
def save_dicom(tmp_path):
    """Save a picture as DICOM; elements by keyword, ``None`` takes one away."""

    def save(name, pixels, **elements):
        meta = pydicom.dataset.FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset = pydicom.Dataset()
        dataset.file_meta = meta
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        bits = pixels.dtype.itemsize * 8
        colour = pixels.ndim == 3 and 'NumberOfFrames' not in elements
        defaults = dict(
            Modality='CT',
            SeriesInstanceUID='1.2.3',
            SamplesPerPixel=3 if colour else 1,
            PhotometricInterpretation='RGB' if colour else 'MONOCHROME2',
            Rows=pixels.shape[-3 if colour else -2],
            Columns=pixels.shape[-2 if colour else -1],
            BitsAllocated=bits,
            BitsStored=bits,
            HighBit=bits - 1,
            PixelRepresentation=int(pixels.dtype.kind == 'i'),
            PixelSpacing=[3, 2],
            SliceThickness=5,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, 0],
        )
        if colour:
            defaults['PlanarConfiguration'] = 0
        for key, value in {**defaults, **elements}.items():
            if value is not None:
                setattr(dataset, key, value)
        dataset.PixelData = pixels.tobytes()
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)
        return str(path)

    return save


@pytest.fixture
def save_series(save_dicom, tmp_path):
    """Save a volume (rows, columns, slices) as a folder of files; names run against the positions."""

    def save(name, volume, positions=None, **elements):
        count = volume.shape[2]
        for k in range(count):
            z = 5.0 * k if positions is None else positions[k]
            options = {'ImagePositionPatient': [0, 0, z], **elements}
            save_dicom(f'{name}/{count - k:03d}', np.ascontiguousarray(volume[..., k]), **options)
        return str(tmp_path / name)

    return save
