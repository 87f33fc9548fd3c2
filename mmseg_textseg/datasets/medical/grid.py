"""Where the voxels of a file lie in the patient, how a slice of them is shown, and which voxels of a mask they meet.

Directions are letters: R(ight), L(eft), A(nterior), P(osterior), S(uperior), I(nferior), all of them the patient's.
``axes='LPS'`` says that the first axis of an array runs to the left, the second to the back, the third to the head.
Coordinates are NIfTI's and nibabel's: millimetres to the right, front and head (RAS+). DICOM's point to the left, back
and head, and are turned when a file is read.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .errors import MedicalImageError, load_library

OPPOSITE = dict(zip('RLAPSI', 'LRPAIS', strict=True))
PLANES = {'axial': 'SI', 'coronal': 'AP', 'sagittal': 'RL'}
ORIENTATIONS = ('radiological', 'neurological', 'stored')
# Where a picture's rows run to (downwards) and its columns (to the right). The two conventions differ in the patient's
# left and right only, so a sagittal picture, which does not show them, faces left in both.
_SHOWN = {
    ('axial', 'radiological'): 'PL',
    ('axial', 'neurological'): 'PR',
    ('coronal', 'radiological'): 'IL',
    ('coronal', 'neurological'): 'IR',
    ('sagittal', 'radiological'): 'IP',
    ('sagittal', 'neurological'): 'IP',
}


@dataclass(frozen=True)
class Grid:
    """The voxels of a file.

    Attributes:
        source: the file, for messages.
        shape: number of voxels along each axis of the array.
        affine: (4, 4), voxel indices to mm (RAS+); ``None`` if the file does not say, or only a made-up one.
        spacing: mm from voxel to voxel along each axis, ``None`` if unknown.
        axes: direction of each axis, ``None`` if unknown.
        pictures: whether the file is a picture, or several along the last axis, whose rows and columns are known
            without a patient: PNG, TIFF, X-ray, ultrasound.
    """

    source: str
    shape: tuple[int, int, int]
    affine: np.ndarray | None = None
    spacing: tuple[float, float, float] | None = None
    axes: str | None = None
    pictures: bool = False


def axes_of(affine: np.ndarray) -> str:
    """Directions of the axes of an array, each by the patient's axis that is nearest."""
    return ''.join(load_library('nibabel.orientations').aff2axcodes(affine))


def check_axes(axes: str | None) -> str | None:
    """A user's ``default_axes``; ValueError unless it is None or three letters, one of each of R/L, A/P, S/I."""
    if axes is None or (len(axes) == 3 and all(len(set(axes) & set(pair)) == 1 for pair in PLANES.values())):
        return axes
    raise ValueError(f"default_axes is {axes!r}: expected three letters, one of R/L, one of A/P, one of S/I, as 'LPS'")


def check_view(plane: str, orientation: str) -> None:
    """ValueError unless both are known words."""
    for name, value, known in (('plane', plane, PLANES), ('orientation', orientation, ORIENTATIONS)):
        if value not in known:
            raise ValueError(f'{name} is {value!r}: expected one of {", ".join(known)}')


class SliceView(NamedTuple):
    """A slice of a grid and how it is shown.

    Attributes:
        grid: of the volume.
        axis: array axis that the slice cuts.
        index: its number along that axis, as stored.
        transpose: whether the later one of the other two axes runs down the picture.
        flip_rows: whether the picture is then turned upside down.
        flip_columns: whether it is mirrored.
    """

    grid: Grid
    axis: int
    index: int
    transpose: bool
    flip_rows: bool
    flip_columns: bool

    def show(self, stored: np.ndarray) -> np.ndarray:
        """A slice as stored, (first other axis, second other axis, ...), as it is shown, (H, W, ...)."""
        shown = stored.swapaxes(0, 1) if self.transpose else stored
        shown = shown[::-1] if self.flip_rows else shown
        return np.ascontiguousarray(shown[:, ::-1] if self.flip_columns else shown)

    @property
    def pixel_spacing(self) -> tuple[float, float] | None:
        """mm from row to row and from column to column of the picture."""
        if self.grid.spacing is None:
            return None
        rest = [step for axis, step in enumerate(self.grid.spacing) if axis != self.axis]
        return (rest[1], rest[0]) if self.transpose else (rest[0], rest[1])


def slice_axis(grid: Grid, plane: str, orientation: str) -> int:
    """The array axis along which slices of a plane follow one another.

    Raises:
        MedicalImageError: if the file does not say where its axes point, or is one slice of another plane.
    """
    if grid.pictures:
        return 2
    if grid.axes is None:
        if orientation != 'stored' or plane != 'axial':
            raise MedicalImageError(
                f'{grid.source} does not say where its axes point in the patient: set default_axes (--default-axes) as '
                "LPS, or orientation='stored' with plane='axial' for slices along its last axis, as they lie in it"
            )
        return 2
    axis = next(k for k, letter in enumerate(grid.axes) if letter in PLANES[plane])
    flat = [k for k, size in enumerate(grid.shape) if size == 1]
    if len(flat) == 1 and flat[0] != axis:
        own = next(name for name, letters in PLANES.items() if grid.axes[flat[0]] in letters)
        raise MedicalImageError(f'{grid.source} is one {own} slice, not {plane}: set plane={own!r}')
    return axis


def view_slice(
    grid: Grid, plane: str = 'axial', orientation: str = 'radiological', index: int | None = None
) -> SliceView:
    """How a slice is shown.

    Args:
        grid: of the volume. An oblique one is shown on its own voxels, by the nearest plane and directions.
        plane: ``'axial'``, ``'coronal'`` or ``'sagittal'``.
        orientation: ``'radiological'`` (the patient's right on the picture's left, front or head at the top; sagittal:
            front on the left), ``'neurological'`` (right on the right), or ``'stored'``: the two other axes of the
            array in their order are rows and columns. Pictures without a patient are always shown as stored.
        index: number of the slice along its array axis, from 0, as stored; not needed where there is one only.

    Raises:
        ValueError: for an unknown plane or orientation.
        MedicalImageError: naming the file, for a slice that is not there, and as :func:`slice_axis`.
    """
    check_view(plane, orientation)
    axis = slice_axis(grid, plane, orientation)
    count = grid.shape[axis]
    what = 'pictures' if grid.pictures else f'{plane} slices'
    if index is None and count == 1:
        index = 0
    if index is None:
        raise MedicalImageError(
            f"{grid.source} has {count} {what}: say which, 0 to {count - 1}, in the table's column 'slice'"
        )
    if not 0 <= index < count:
        raise MedicalImageError(f'{grid.source} has no slice {index}: its {what} are 0 to {count - 1}')
    if orientation == 'stored' or grid.pictures:
        return SliceView(grid, axis, index, False, False, False)
    down, right = _SHOWN[plane, orientation]
    rows, columns = (
        next(k for k, letter in enumerate(grid.axes) if letter in (wanted, OPPOSITE[wanted]))
        for wanted in (down, right)
    )
    return SliceView(grid, axis, index, rows > columns, grid.axes[rows] != down, grid.axes[columns] != right)


class Alignment(NamedTuple):
    """Which voxel of a mask lies on a voxel of its image, for each axis of the mask.

    Attributes:
        order: the image's axis along which it runs.
        signs: 1, or -1 where it runs the other way.
        starts: its index at the image's voxel (0, 0, 0).
    """

    order: tuple[int, int, int]
    signs: tuple[int, int, int]
    starts: tuple[int, int, int]


def align(mask: Grid, image: Grid, same_affine: bool = True) -> Alignment:
    """Find the voxels of a mask that lie on those of its image.

    Axes may be stored in another order or direction (a DICOM series and its mask in NIfTI), and the image may be one
    slice of the mask's volume. No voxel may lie a quarter of a voxel or more away, so that nothing needs resampling.

    Args:
        mask: its voxels.
        image: the image's.
        same_affine: whether to go by where the files say they lie; else by the order of voxels, which needs one shape.

    Raises:
        MedicalImageError: naming both files, if they do not lie on one another.
    """
    names = f'mask {mask.source} and image {image.source}'
    sizes = f'{_size(mask)} and {_size(image)} voxels'
    if not same_affine or (mask.affine is None and image.affine is None):
        if mask.shape != image.shape:
            raise MedicalImageError(f'{names} have {sizes}: they must have one shape')
        return Alignment((0, 1, 2), (1, 1, 1), (0, 0, 0))
    if mask.affine is None or image.affine is None:
        silent = 'mask' if mask.affine is None else 'image'
        raise MedicalImageError(
            f'{names}: the {silent} does not say where its voxels lie, the other does; if they lie alike, say so: '
            'same_affine=False, or --ignore-mask-affine'
        )
    single = [size == 1 for size in image.shape]
    if not any(single) and sorted(mask.shape) != sorted(image.shape):
        raise MedicalImageError(f'{names} have {sizes}: they must have one shape')
    to_mask = np.linalg.inv(mask.affine) @ image.affine  # image voxel -> mask voxel
    turn = np.rint(to_mask[:3, :3]) * ~np.array(single)  # what one voxel's thickness says does not matter
    for axis in np.flatnonzero(single):
        left = np.flatnonzero(~turn.any(axis=1))
        turn[left[0] if len(left) else 0, axis] = 1
    starts = np.rint(to_mask[:3, 3])
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(image.shape) - 1)
    exact = corners @ to_mask[:3, :3].T + to_mask[:3, 3]
    whole = corners @ turn.T + starts
    permutes = (np.abs(turn).sum(0) == 1).all() and (np.abs(turn).sum(1) == 1).all()
    if not permutes or np.abs(exact - whole).max() >= 0.25 or whole.min() < 0 or (whole >= mask.shape).any():
        raise MedicalImageError(
            f'{names} do not lie on the same voxels (their affines differ): resample the mask to the image; if only '
            'the header is wrong and they lie alike, say so: same_affine=False, or --ignore-mask-affine'
        )
    order = np.abs(turn).argmax(axis=1)
    signs = turn[np.arange(3), order]
    return Alignment(*(tuple(int(value) for value in values) for values in (order, signs, starts)))


def _size(grid: Grid) -> str:
    return ' x '.join(map(str, grid.shape))
