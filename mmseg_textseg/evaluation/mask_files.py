"""Predicted masks as files: a picture's as PNG, those of a NIfTI volume's slices together as a label volume."""

import gzip
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..datasets.medical.errors import MedicalImageError, load_library
from ..datasets.medical.nifti import is_nifti
from ..fileio import whole_file, write_png


class StoredSlice(NamedTuple):
    """A mask of a slice as it lies in its volume.

    Attributes:
        image: the volume.
        truth: the label volume of what the sentence means: sentences of two go into two files. '' where the truth is a
            picture of one slice, or unknown.
        axis: which the slice cuts.
        index: of the slice.
        shape: of ``bits``.
        bits: the mask, packed and compressed.
    """

    image: str
    truth: str
    axis: int
    index: int
    shape: tuple[int, int]
    bits: bytes

    def mask(self) -> np.ndarray:
        """(first other axis, second other axis) of the volume, uint8 of 0 and 1."""
        count = self.shape[0] * self.shape[1]
        return np.unpackbits(np.frombuffer(zlib.decompress(self.bits), np.uint8), count=count).reshape(self.shape)


def write_mask(folder: Path, sample: Mapping, name: str, mask: np.ndarray) -> StoredSlice | None:
    """Write a mask as ``<name>.png``, 0 and 255; that of a slice of a NIfTI volume is returned instead.

    Args:
        folder: where to.
        sample: metainfo of a data sample; with ``slice_view`` (of LoadMedicalImage) a slice of a volume.
        name: of the sample.
        mask: (H, W), non-zero is foreground.

    Raises:
        MedicalImageError: the mask of a slice at another size than the slice's.
        OSError: it could not be written.
    """
    view, path = sample.get('slice_view'), sample.get('img_path', '')
    if view is None or not is_nifti(path):
        write_png(folder / f'{name}.png', (mask != 0) * np.uint8(255))
        return None
    stored = np.asarray(mask) != 0
    # SliceView.show, undone in the opposite order.
    stored = stored[:, ::-1] if view.flip_columns else stored
    stored = stored[::-1] if view.flip_rows else stored
    stored = stored.T if view.transpose else stored
    expected = tuple(size for axis, size in enumerate(view.grid.shape) if axis != view.axis)
    if stored.shape != expected:
        raise MedicalImageError(
            f'{path}: the mask of slice {view.index} is {stored.shape[0]} x {stored.shape[1]}, the slice '
            f'{expected[0]} x {expected[1]}: masks of volumes can be saved at the original size only'
        )
    bits = zlib.compress(np.packbits(stored).tobytes())
    truth = sample.get('seg_map_path') or ''
    return StoredSlice(path, truth if is_nifti(truth) else '', view.axis, view.index, stored.shape, bits)


def write_label_volumes(folder: Path, slices: Sequence[StoredSlice]) -> list[Path]:
    """Write the masks of slices as ``<image>-<truth>-<k>.nii.gz``: of each slice's k-th sentence, counted from 0.

    A volume has the shape, affine and header of its image, values 0 and 1 (uint8), and 0 also in slices that no item
    was of.

    Args:
        folder: where to.
        slices: in the order of the items.

    Returns:
        The files.
    """
    seen: Counter = Counter()
    volumes: dict[tuple, list[StoredSlice]] = {}
    for one in slices:
        place = (one.image, one.truth, one.axis, one.index)
        volumes.setdefault((one.image, one.truth, seen[place]), []).append(one)
        seen[place] += 1
    names: Counter = Counter()
    written = []
    for (image, truth, number), members in volumes.items():
        stems = dict.fromkeys(Path(file).stem.removesuffix('.nii') for file in (image, truth) if file)
        name = '-'.join([*stems, str(number)])
        names[name] += 1
        copy = f'~{names[name]}' if names[name] > 1 else ''  # of two volumes named alike, in two folders
        path = folder / f'{name}{copy}.nii.gz'
        _write_label_volume(path, image, members)
        written.append(path)
    return written


def _write_label_volume(path: Path, image: str, slices: Sequence[StoredSlice]) -> None:
    source = load_library('nibabel').load(image)
    labels = np.zeros((*source.shape[:3], 1)[:3], np.uint8)
    for one in slices:
        where: list[int | slice] = [slice(None)] * 3
        where[one.axis] = one.index
        labels[tuple(where)] |= one.mask()
    header = source.header.copy()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    header['cal_min'] = header['cal_max'] = 0
    header.extensions.clear()  # may hold a patient's data
    made = type(source)(labels, source.affine, header)
    with whole_file(path, 'wb') as file:
        file.write(gzip.compress(made.to_bytes(), mtime=0))
