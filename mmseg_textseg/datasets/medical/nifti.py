"""NIfTI files as volumes."""

import os
import zlib

import numpy as np

from .errors import MedicalImageError, load_library
from .grid import Grid, axes_of
from .volume import Volume, Where

EXTENSIONS = ('.nii', '.nii.gz')
_MM = {'meter': 1000.0, 'mm': 1.0, 'micron': 0.001, 'unknown': 1.0}
_DAMAGED = (OSError, EOFError, KeyError, ValueError, zlib.error)


def is_nifti(path: str | os.PathLike) -> bool:
    """Whether a file is NIfTI, by its name."""
    return str(path).lower().endswith(EXTENSIONS)


def open_nifti(path: str | os.PathLike, channel: int | None = None, default_axes: str | None = None) -> Volume:
    """Open a NIfTI file of two or three dimensions, or one volume of a file of four.

    Only the header is read now. Values are left on the disk and read as they are asked for; those of a compressed file
    are decompressed whole, into memory, in the type that they are stored in.

    Where the voxels lie is taken from the sform, else the qform. Without both, and where the affine is exactly the
    identity, as tools write that do not know it (so LiTS's volumes 28 to 47), neither place nor spacing is known.

    Args:
        path: ``.nii`` or ``.nii.gz``.
        channel: which volume of a file with a fourth axis (times, MRI sequences), from 0.
        default_axes: directions of the axes of a file that does not say, as ``'LPS'``.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: without nibabel.
        MedicalImageError: for a file that is damaged, or of other dimensions or types.
    """
    nib = load_library('nibabel')
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'no volume {path}')
    try:
        image = nib.load(path)
        shape, dtype = image.shape, image.dataobj.dtype
        unit = _MM[image.header.get_xyzt_units()[0]]
    except (nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError, *_DAMAGED, AttributeError) as error:
        raise MedicalImageError(f'{path} is not a NIfTI file that nibabel reads ({error}): get it anew') from error
    if dtype.kind not in 'uif':
        raise MedicalImageError(f'{path} holds {dtype} values: expected one number a voxel')
    pick = _pick(path, shape, channel)
    return Volume(_grid(path, image, unit, default_axes), _Stored(path, image.dataobj, pick))


class _Stored:
    """The three-dimensional part of nibabel's proxy: a memory map, or what was decompressed, in the file's own type.

    The proxy itself would decompress the file again for each slice, and give all values as float64.
    """

    def __init__(self, path: str, proxy, pick: tuple) -> None:
        self._path, self._proxy, self._pick = path, proxy, pick
        self._array: np.ndarray | None = None

    def __getitem__(self, where: Where) -> np.ndarray:
        if self._array is None:
            try:
                stored = self._proxy.get_unscaled()[self._pick]
            except _DAMAGED as error:
                told = ' '.join(str(error).split())
                raise MedicalImageError(f'{self._path} is damaged or cut off ({told}): get it anew') from error
            self._array = stored.reshape((*stored.shape, 1)[:3])
        scale = load_library('nibabel.volumeutils').apply_read_scaling
        return scale(np.asarray(self._array[where]), self._proxy.slope, self._proxy.inter)


def _pick(path: str, shape: tuple[int, ...], channel: int | None) -> tuple:
    """Index of the volume that is meant."""
    extra = [size for size in shape[3:] if size > 1]
    if len(shape) < 2 or len(extra) > 1:
        raise MedicalImageError(f'{path} has the shape {shape}: expected a slice, a volume, or several volumes')
    if not extra:
        if channel not in (None, 0):
            raise MedicalImageError(f'{path} has one volume and no channel {channel}: leave channel out')
        return (*[slice(None)] * min(3, len(shape)), *[0] * len(shape[3:]))
    if channel is None or not 0 <= channel < extra[0]:
        raise MedicalImageError(
            f'{path} has {extra[0]} volumes on one another (shape {shape}): set channel to one, 0 to {extra[0] - 1}'
        )
    return (*[slice(None)] * 3, *(channel if size > 1 else 0 for size in shape[3:]))


def _grid(path: str, image, unit: float, default_axes: str | None) -> Grid:
    shape = (*image.shape[:3], 1)[:3]
    header, affine = image.header, np.array(image.affine, np.float64)
    if header['sform_code'] <= 0 and header['qform_code'] <= 0:
        zooms = [float(zoom) for zoom in (*header.get_zooms()[:3], 1)[:3]]
        measured = min(zooms) > 0 and zooms != [1, 1, 1]
        return Grid(path, shape, None, tuple(zoom * unit for zoom in zooms) if measured else None, default_axes)
    if np.array_equal(affine, np.eye(4)):
        return Grid(path, shape, None, None, default_axes)
    affine[:3] *= unit
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise MedicalImageError(f'{path} has an affine that maps its voxels to no volume: mend its header\n{affine}')
    spacing = tuple(float(step) for step in np.sqrt((affine[:3, :3] ** 2).sum(0)))
    return Grid(path, shape, affine, spacing, axes_of(affine))
