"""Loading of CT and MRI: a slice of NIfTI or DICOM, windowed to 8 bits, and the same slice of a mask."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ..medical import (
    MedicalImageError,
    align,
    check_axes,
    check_view,
    parse_windows,
    reopen_volume,
    slice_axis,
    view_slice,
)
from ..spacing import pixel_spacing


@TRANSFORMS.register_module()
class LoadMedicalImage(BaseTransform):
    """Load a slice of a NIfTI volume or DICOM series, a DICOM file, or PNG and TIFF of 8 or 16 bits.

    The number of the slice stands in the table's column ``slice``: it counts along the file's own axis from 0 (of a
    DICOM series in the order of positions). A file of one slice needs none. The last two volumes are kept in each
    worker process, so sort tables by volume; of an uncompressed NIfTI file only what is asked for is read. Training on
    random slices of compressed volumes reads a whole one each time: cut them first with ``tools/convert_dataset.py``.

    Required Keys:

    - img_path (str, on this machine's disk)
    - attributes (optional, with ``slice``; ``spacing_mm`` where the file does not say it)

    Added Keys:

    - img (np.uint8, H x W x 3, BGR; grey is repeated)
    - img_shape (int, int)
    - ori_shape (int, int)
    - spacing (float, float; mm from row to row and from column to column at ``ori_shape``; not where it is unknown,
      else metainfo of the sample)
    - slice_view (for ``LoadMedicalMask``)

    Args:
        window: which values become black and white: a CT preset (``'liver'``, ``'lung'``, ...; ``medical.WINDOWS``),
            (level, width), percentiles of the volume (``'p0.5,p99.5'``, for MRI) or ``'dicom'``, the file's own; three
            of them are red, green and blue. Pictures of 8 bits take none.
        plane: ``'axial'``, ``'coronal'`` or ``'sagittal'``.
        orientation: ``'radiological'`` (the patient's right on the picture's left), ``'neurological'`` or
            ``'stored'``; see :func:`mmseg_textseg.datasets.medical.view_slice`.
        channel: which volume of a NIfTI file with a fourth axis, from 0.
        default_axes: directions of the axes of a NIfTI file that does not say, as ``'LPS'``.
        intercept: is added to the numbers of PNG and TIFF of more than 8 bits: -32768 for Hounsfield units + 32768, as
            ``tools/convert_dataset.py volume --raw16`` writes.

    Raises:
        ValueError: for an unknown option; MedicalImageError, naming the file, if it cannot be used.
        FileNotFoundError: if it is missing.
        ImportError: without nibabel or pydicom.
    """

    def __init__(
        self,
        window: str | Sequence | None = None,
        plane: str = 'axial',
        orientation: str = 'radiological',
        channel: int | None = None,
        default_axes: str | None = None,
        intercept: float = 0,
    ) -> None:
        check_view(plane, orientation)
        self.window = window
        self.windows = parse_windows(window)
        self.plane, self.orientation = plane, orientation
        self.opening = dict(channel=channel, default_axes=check_axes(default_axes), intercept=intercept)

    def transform(self, results: dict) -> dict:
        """Read ``results['img_path']``."""
        path = results['img_path']
        attributes = results.get('attributes') or {}
        volume = reopen_volume(path, **self.opening)
        count = volume.grid.shape[slice_axis(volume.grid, self.plane, self.orientation)]
        # A file of one slice is that slice, whatever number it had in its series.
        number = None if count == 1 else _whole(attributes.get('slice'), path)
        view = view_slice(volume.grid, self.plane, self.orientation, number)
        picture = volume.picture(view, self.windows)
        results['img'] = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
        results['img_shape'] = results['ori_shape'] = picture.shape[:2]
        spacing = view.pixel_spacing or pixel_spacing(results)
        if spacing is not None:
            results['spacing'] = spacing
        results['slice_view'] = view
        return results

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(window={self.window!r}, plane={self.plane!r}, '
            f'orientation={self.orientation!r}, {", ".join(f"{k}={v!r}" for k, v in self.opening.items())})'
        )


@TRANSFORMS.register_module()
class LoadMedicalMask(BaseTransform):
    """Load a mask from a label volume: the slice that ``LoadMedicalImage`` took, shown as it shows it.

    The two files may store their axes in another order or direction, as a DICOM series and its mask in NIfTI do: where
    voxels lie decides. Nothing is resampled. Masks in PNG are read by ``LoadMask``, whatever the images are.

    Required Keys:

    - seg_map_path (NIfTI, DICOM file or folder of a DICOM series)
    - slice_view (of ``LoadMedicalImage``)

    Added Keys:

    - gt_seg_map (np.uint8 of 0 and 1, H x W)

    Modified Keys:

    - seg_fields

    Args:
        labels: values that are foreground, one or several; ``None``: all but 0. That none is there is legal.
        channel: which volume of a NIfTI file with a fourth axis, from 0.
        same_affine: whether files say truly where they lie. False compares voxels by their order in the files, which
            must have one shape then; for masks whose header is wrong.

    Raises:
        ValueError: for an unknown option; MedicalImageError, naming the files, if they do not lie on one another or
            cannot be read; if the dataset relabels its classes.
        FileNotFoundError: if the mask is missing.
        ImportError: without nibabel or pydicom.
    """

    def __init__(
        self, labels: int | Sequence[int] | None = None, channel: int | None = None, same_affine: bool = True
    ) -> None:
        self.labels = None if labels is None else sorted({labels} if isinstance(labels, int) else set(labels))
        if self.labels is not None and (not self.labels or not all(isinstance(label, int) for label in self.labels)):
            raise ValueError(f'labels is {labels!r}; expected a whole number, several of them, or None')
        self.channel, self.same_affine = channel, same_affine

    def transform(self, results: dict) -> dict:
        """Read ``results['seg_map_path']``."""
        path, view = results['seg_map_path'], results.get('slice_view')
        if results.get('reduce_zero_label') or results.get('label_map') is not None:
            raise ValueError(
                f'{path}: LoadMedicalMask gives 0 and 1 and cannot relabel: leave reduce_zero_label=False, and choose '
                'values of the file with labels'
            )
        if view is None:
            raise MedicalImageError(f'{path}: which slice is not known: put LoadMedicalImage before LoadMedicalMask')
        mask = reopen_volume(path, self.channel)
        if mask.grid.pictures:
            raise MedicalImageError(f'mask {path} is a picture: load it with LoadMask')
        values = mask.plane_on(align(mask.grid, view.grid, self.same_affine), view)
        results['gt_seg_map'] = foreground(values, self.labels).view(np.uint8)
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(labels={self.labels}, channel={self.channel}, same_affine={self.same_affine})'
        )


def foreground(values: np.ndarray, labels: Sequence[int] | None) -> np.ndarray:
    """Where a label volume has one of the labels, or with None any value but 0, bool."""
    # Tools that resample save labels as floats, which may be off by their last bit.
    whole = np.rint(np.nan_to_num(values)) if np.issubdtype(values.dtype, np.inexact) else values
    return whole != 0 if labels is None else np.isin(whole, labels)


def _whole(value: object, path: str) -> int | None:
    """The cell of the column ``slice``; csv has no types."""
    if value is None or value == '':
        return None
    try:
        number = float(value)
        if isinstance(value, bool) or number != int(number):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise MedicalImageError(f"{path}: 'slice' is {value!r}: expected a whole number from 0") from None
    return int(number)
