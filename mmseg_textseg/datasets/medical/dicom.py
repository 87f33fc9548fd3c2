"""DICOM files: their pictures, where each lies, and their values."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import MedicalImageError, load_library

_TO_RAS = np.array([-1.0, -1.0, 1.0])  # DICOM's coordinates point to the left and the back
# What pydicom raises for content that it cannot read or decode.
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, NotImplementedError, OSError, RuntimeError, TypeError)
_UNREADABLE += (ValueError, EOFError)
_KEYS = (
    *('Modality', 'SeriesInstanceUID', 'SeriesDescription', 'Rows', 'Columns', 'SamplesPerPixel', 'BitsStored'),
    *('PixelRepresentation', 'PhotometricInterpretation', 'ModalityLUTSequence', 'RescaleSlope', 'RescaleIntercept'),
    *('VOILUTSequence', 'WindowCenter', 'WindowWidth', 'VOILUTFunction', 'ImageOrientationPatient'),
    *('ImagePositionPatient', 'PixelSpacing', 'SpacingBetweenSlices', 'SliceThickness'),
)


def is_dicom(path: str | os.PathLike) -> bool:
    """Whether a file is DICOM, by its first bytes: names often have no ending."""
    with open(path, 'rb') as file:
        return file.read(132)[128:] == b'DICM'


@dataclass(frozen=True)
class Frame:
    """One picture of a DICOM file.

    Attributes:
        path: the file.
        number: of the frame, from 0; ``None`` where the file has one only.
        header: pydicom's Dataset of what is needed of the file, and of the frame's own functional groups.
    """

    path: str
    number: int | None
    header: Any

    @property
    def name(self) -> str:
        """For messages."""
        return self.path if self.number is None else f'{self.path} frame {self.number}'

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return int(self.header.Rows), int(self.header.Columns)

    @property
    def colour(self) -> bool:
        """Whether it has three channels."""
        return int(self.header.get('SamplesPerPixel', 1)) > 1

    @property
    def directions(self) -> np.ndarray | None:
        """(3, 2) RAS+ unit vectors in which the row's and the column's number grow; ``None`` if the file is silent."""
        cosines = self._numbers('ImageOrientationPatient', 6)
        # DICOM gives the direction along a row first, in which the column's number grows.
        return None if cosines is None else (cosines.reshape(2, 3)[::-1] * _TO_RAS).T

    @property
    def position(self) -> np.ndarray | None:
        """(3,) mm, RAS+, of the centre of the first pixel."""
        position = self._numbers('ImagePositionPatient', 3)
        return None if position is None else position * _TO_RAS

    @property
    def pixel_spacing(self) -> tuple[float, float] | None:
        """mm from row to row and from column to column."""
        spacing = self._numbers('PixelSpacing', 2)
        return None if spacing is None or spacing.min() <= 0 else (float(spacing[0]), float(spacing[1]))

    @property
    def thickness(self) -> float | None:
        """mm from slice to slice as the file says, else of the slice."""
        for key in ('SpacingBetweenSlices', 'SliceThickness'):
            value = self.header.get(key)
            if value is not None and float(value) > 0:
                return float(value)
        return None

    def _numbers(self, key: str, count: int) -> np.ndarray | None:
        value = self.header.get(key)
        if value is None or isinstance(value, str) or not hasattr(value, '__len__') or len(value) != count:
            return None
        return np.array([float(one) for one in value])

    def values(self) -> np.ndarray:
        """Values after the file's slope and intercept, (H, W) float32, or as stored where it has none.

        In colour (H, W, 3) uint8, RGB.

        Raises:
            MedicalImageError: if the pixels cannot be decoded, or have colours of more than 8 bits or by a palette.
        """
        pixels = load_library('pydicom.pixels')
        kind = self.header.get('PhotometricInterpretation')
        if (self.colour and int(self.header.get('BitsStored', 8)) > 8) or kind == 'PALETTE COLOR':
            raise MedicalImageError(f'{self.name} has the colours {kind}: expected grey, or RGB of 8 bits')
        try:
            stored = pixels.pixel_array(self.path, index=self.number)
            values = stored if self.colour else pixels.apply_modality_lut(stored, self.header)
        except _UNREADABLE as error:
            told = ' '.join(str(error).split())
            raise MedicalImageError(
                f'{self.name}: its pixels cannot be decoded ({told}): get the file anew; if it is compressed, install '
                "a decoder that pydicom names, e.g. pip install 'pylibjpeg[all]'"
            ) from error
        return values.astype(np.float32) if values.dtype == np.float64 else values

    def own_window(self, values: np.ndarray) -> np.ndarray:
        """Shades from 0 to 255 by the file's first window or table (DICOM PS3.3 C.11.2).

        Raises:
            MedicalImageError: if it has none.
        """
        shown = load_library('pydicom').Dataset()
        for key in ('VOILUTSequence', 'WindowCenter', 'WindowWidth', 'VOILUTFunction'):
            if self.header.get(key) not in (None, ''):
                shown[key] = self.header[key]
        # The range that pydicom maps a window to is that of the stored pixels: here always a byte.
        shown.BitsStored, shown.PixelRepresentation, shown.PhotometricInterpretation = 8, 0, 'MONOCHROME2'
        pixels = load_library('pydicom.pixels')
        try:
            if shown.get('VOILUTSequence'):
                most = 2 ** int(shown.VOILUTSequence[0].LUTDescriptor[2]) - 1
                shown.set_original_encoding(*self.header.original_encoding, None)
                return pixels.apply_voi(np.rint(values).astype(np.int64), shown) * (255 / most)
            if 'WindowCenter' in shown and 'WindowWidth' in shown:
                return pixels.apply_windowing(np.asarray(values), shown)
        except _UNREADABLE as error:
            raise MedicalImageError(f'{self.name} has a window that cannot be used ({error}): choose one') from error
        raise MedicalImageError(f"{self.name} has no window of its own: choose one other than 'dicom'")


def read_frames(path: str | os.PathLike) -> list[Frame]:
    """Headers of the pictures of a file; their pixels are not read.

    Raises:
        ImportError: without pydicom.
        MedicalImageError: for a file that is damaged, or holds no pictures.
    """
    pydicom = load_library('pydicom')
    path = os.fspath(path)
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        frames = _frames(pydicom, path, header)
    except (pydicom.errors.InvalidDicomError, *_UNREADABLE) as error:
        raise MedicalImageError(f'{path} is not a DICOM file that pydicom reads ({error}): get it anew') from error
    if not frames:
        raise MedicalImageError(
            f'{path} is {header.get("Modality", "a DICOM file")} and holds no slices of an image: contours (RTSTRUCT) '
            'and segmentations (SEG) must be exported as NIfTI first'
        )
    return frames


def _frames(pydicom, path: str, header) -> list[Frame]:
    if 'Rows' not in header or 'Columns' not in header or header.get('Modality') == 'SEG':
        return []
    common = pydicom.Dataset()
    common.update({header[key].tag: header[key] for key in _KEYS if key in header})
    count = int(header.get('NumberOfFrames') or 1)
    own = header.get('PerFrameFunctionalGroupsSequence')
    if not own:
        own = [pydicom.Dataset()] * count
        if count > 1 and 'ImagePositionPatient' in common:
            del common.ImagePositionPatient  # that of the first, as of a dose: the others lie elsewhere
    shared = header.get('SharedFunctionalGroupsSequence') or [pydicom.Dataset()]
    if len(own) != count:
        raise ValueError(f'{count} frames, but {len(own)} frame headers')
    frames = []
    for number in range(count):
        merged = pydicom.Dataset()
        merged.set_original_encoding(*header.original_encoding, None)  # tables of 16 bits are kept as bytes
        merged.update(common)
        for groups in (shared[0], own[number]):
            for group in groups:
                if group.VR == 'SQ' and group.value:
                    merged.update(group.value[0])
        frames.append(Frame(path, number if count > 1 else None, merged))
    return frames
