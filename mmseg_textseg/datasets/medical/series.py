"""DICOM files and folders as volumes: slices in their order along the patient."""

import os
from collections import Counter
from collections.abc import Sequence

import numpy as np

from .dicom import Frame, is_dicom, read_frames
from .errors import MedicalImageError
from .grid import Grid, axes_of
from .volume import Volume, Where

# Share of a step by which one may differ from the others. Files round positions to 0.1 mm; a slice that is missing
# doubles a step.
_UNEVEN = 0.1


def open_dicom(path: str | os.PathLike) -> Volume:
    """Open a DICOM file of one or several frames, or a folder with the files of one series.

    Slices are in the order of their positions, of an axial stack from feet to head. The array's axes are row, column,
    slice. Headers are read now, pixels when a slice is asked for.

    Args:
        path: a file, or a folder; files in it that are no DICOM are left alone, folders in it are not looked into.

    Raises:
        FileNotFoundError: if it is not there.
        ImportError: without pydicom.
        MedicalImageError: naming the file, for several series, other sizes or directions among the slices, two slices
            at one place, a gap or steps that differ, no positions, or a file that cannot be read.
    """
    path = os.fspath(path)
    if not os.path.isdir(path):
        if not os.path.isfile(path):
            raise FileNotFoundError(f'no volume {path}')
        return _volume(path, read_frames(path))
    frames = []
    for file in _files(path):
        found = read_frames(file)
        if len(found) > 1:
            raise MedicalImageError(f'{file} has {len(found)} frames: give the file itself, not its folder')
        frames += found
    if not frames:
        raise MedicalImageError(f'{path} has no DICOM files in it: give the folder that holds the slices of one series')
    return _volume(path, frames)


def _files(folder: str) -> list[str]:
    found = []
    for name in sorted(os.listdir(folder)):
        file = os.path.join(folder, name)
        if name.startswith('.') or name.upper() == 'DICOMDIR' or not os.path.isfile(file):
            continue
        if is_dicom(file):
            found.append(file)
        elif name.lower().endswith('.dcm'):
            raise MedicalImageError(f'{file} does not begin like a DICOM file: get it anew, or take it away')
    return found


def _volume(path: str, frames: Sequence[Frame]) -> Volume:
    first = frames[0]
    _check_alike(path, frames)
    pixel = first.pixel_spacing
    placed = first.directions is not None and all(frame.position is not None for frame in frames)
    if placed:
        frames, grid = _placed(path, frames)
    elif len({frame.path for frame in frames}) > 1:
        raise MedicalImageError(
            f'{path} has {len(frames)} files that do not say where they lie (ImagePositionPatient): name single files'
        )
    else:
        spacing = None if pixel is None else (*pixel, first.thickness or 1.0)
        grid = Grid(path, (*first.shape, len(frames)), None, spacing, None, pictures=True)
    header = first.header
    as_stored = (
        'ModalityLUTSequence' not in header
        and float(header.get('RescaleSlope', 1)) == 1
        and float(header.get('RescaleIntercept', 0)) == 0
        and header.get('PixelRepresentation', 0) == 0
    )
    return Volume(
        grid,
        _Slices(frames),
        modality=header.get('Modality'),
        inverted=header.get('PhotometricInterpretation') == 'MONOCHROME1',
        ready=as_stored and header.get('BitsStored') == 8,
        own_window=lambda values, number: frames[len(frames) // 2 if number is None else number].own_window(values),
    )


def _check_alike(path: str, frames: Sequence[Frame]) -> None:
    series = Counter(frame.header.get('SeriesInstanceUID') for frame in frames)
    if len(series) > 1:
        told = ', '.join(f'{uid} ({count} slices)' for uid, count in series.items())
        raise MedicalImageError(f'{path} holds {len(series)} series: {told}: put each into a folder of its own')
    first = frames[0]
    for frame in frames[1:]:
        same = (
            frame.shape == first.shape
            and frame.colour == first.colour
            and (frame.pixel_spacing is None) == (first.pixel_spacing is None)
            and np.allclose(frame.pixel_spacing or 0, first.pixel_spacing or 0, rtol=1e-3)
            and (frame.directions is None) == (first.directions is None)
            and (first.directions is None or np.allclose(frame.directions, first.directions, atol=1e-3))
        )
        if not same:
            raise MedicalImageError(
                f'{frame.name} has another size, pixel spacing or direction than {first.name}: keep the slices of one '
                'stack in a folder, without scouts'
            )


def _placed(path: str, frames: Sequence[Frame]) -> tuple[list[Frame], Grid]:
    """Slices in their order and where they lie."""
    first = frames[0]
    if first.pixel_spacing is None:
        raise MedicalImageError(f'{first.name} says where it lies but not its PixelSpacing: mend the header')
    down, right = first.directions.T
    normal = np.cross(right, down)
    length = np.linalg.norm(normal)
    if not abs(length - 1) < 0.01:
        raise MedicalImageError(f'{first.name}: its ImageOrientationPatient is no two unit vectors at right angles')
    frames = sorted(frames, key=lambda frame: float(normal @ frame.position))
    positions = np.array([frame.position for frame in frames])
    step = normal * (frames[0].thickness or 1.0)
    if len(frames) > 1:
        steps = np.diff(positions, axis=0)
        along = steps @ normal
        if along.min() < 1e-3:
            k = int(along.argmin())
            raise MedicalImageError(
                f'{frames[k].name} and {frames[k + 1].name} lie at one place, so {path} holds several volumes (times, '
                'phases, echoes): keep one'
            )
        # Of an even number of steps the lower middle one: a mean of two would be none of them.
        usual = steps[np.argsort(along)[(len(along) - 1) // 2]]
        off = np.linalg.norm(steps - usual, axis=1)
        if off.max() > _UNEVEN * np.linalg.norm(usual):
            k = int(off.argmax())
            raise MedicalImageError(
                f'{frames[k].name} and {frames[k + 1].name} are {along[k]:.3g} mm apart, other slices of {path} '
                f'{usual @ normal:.3g} mm: a slice is missing, or the spacing varies; add it, or keep one even stack'
            )
        step = (positions[-1] - positions[0]) / (len(frames) - 1)
    affine = np.eye(4)
    affine[:3] = np.stack([down * first.pixel_spacing[0], right * first.pixel_spacing[1], step, positions[0]], axis=1)
    spacing = (*first.pixel_spacing, float(np.linalg.norm(step)))
    return frames, Grid(path, (*first.shape, len(frames)), affine, spacing, axes_of(affine))


class _Slices:
    """Values of slices, decoded as they are asked for; all of them are kept once another plane crosses them."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = list(frames)
        self._all: np.ndarray | None = None

    def __getitem__(self, where: Where) -> np.ndarray:
        rows, columns, number = where
        if isinstance(number, slice):
            if self._all is None:
                self._all = np.stack([frame.values() for frame in self._frames], axis=2)
            return self._all[where]
        return self._frames[number].values()[rows, columns]
