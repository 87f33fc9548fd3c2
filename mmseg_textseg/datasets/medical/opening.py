"""Any file of CT or MRI as a volume, and the last ones that were opened."""

import os
from functools import lru_cache

from .dicom import is_dicom
from .nifti import is_nifti, open_nifti
from .pictures import open_picture
from .series import open_dicom
from .volume import Volume

# An image and its mask. A volume may take half a gigabyte, in every worker process.
_KEPT = 2


def open_volume(
    path: str | os.PathLike, channel: int | None = None, default_axes: str | None = None, intercept: float = 0
) -> Volume:
    """Open NIfTI (by its name), a folder of DICOM files, a DICOM file (by its first bytes), or a picture.

    Args:
        path: on this machine's disk; mmengine's other storage backends are not supported.
        channel: which volume of a NIfTI file with a fourth axis.
        default_axes: directions of the axes of a NIfTI file that does not say, as ``'LPS'``.
        intercept: is added to the numbers of PNG and TIFF of more than 8 bits.

    Raises:
        FileNotFoundError: if it is not there.
        ImportError: without the library that it needs.
        MedicalImageError: if it cannot be used.
    """
    if is_nifti(path):
        return open_nifti(path, channel, default_axes)
    is_file = os.path.isfile(path)
    if os.path.isdir(path) or (is_file and (is_dicom(path) or str(path).lower().endswith('.dcm'))):
        return open_dicom(path)
    return open_picture(path, intercept)


def reopen_volume(
    path: str | os.PathLike, channel: int | None = None, default_axes: str | None = None, intercept: float = 0
) -> Volume:
    """As :func:`open_volume`, but gives the volume again if it is one of the last two of this process.

    Slices that follow one another in a table are so read from a compressed file with one decompression. A file that
    changed since is opened anew.
    """
    try:
        stat = os.stat(path)
        stamp = stat.st_size, stat.st_mtime_ns
    except OSError:
        stamp = None  # opening says what is wrong
    return _keep(os.fspath(path), channel, default_axes, intercept, stamp)


@lru_cache(maxsize=_KEPT)
def _keep(path: str, channel: int | None, default_axes: str | None, intercept: float, stamp: tuple | None) -> Volume:
    return open_volume(path, channel, default_axes, intercept)
