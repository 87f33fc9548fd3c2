"""CT and MRI: NIfTI, DICOM and 16-bit pictures as slices of 8 bits, in the orientation that radiologists see."""

from .errors import MedicalImageError
from .grid import ORIENTATIONS, PLANES, SliceView, align, check_axes, check_view, slice_axis, view_slice
from .opening import open_volume, reopen_volume
from .volume import Volume
from .windows import WINDOWS, parse_windows

__all__ = [
    'ORIENTATIONS',
    'PLANES',
    'WINDOWS',
    'MedicalImageError',
    'SliceView',
    'Volume',
    'align',
    'check_axes',
    'check_view',
    'open_volume',
    'parse_windows',
    'reopen_volume',
    'slice_axis',
    'view_slice',
]
