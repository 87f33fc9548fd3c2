"""A volume of CT or MRI: its values, where they lie, and pictures of its slices."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from .errors import MedicalImageError
from .grid import Alignment, Grid, SliceView
from .windows import Window, to_grey

CHOICES = (
    "a CT preset ('liver', 'lung', ...), (level, width), percentiles for MRI ('p0.5,p99.5'), or 'dicom' for the "
    "file's own"
)
Where = tuple[int | slice, int | slice, int | slice]


class Values(Protocol):
    """What a volume's values are read from: an array, or a file of which only what is asked for is read."""

    def __getitem__(self, where: Where) -> np.ndarray:
        """Values in the file's unit (Hounsfield units in CT); of a picture in colour (..., 3) uint8 RGB."""


@dataclass(frozen=True)
class Volume:
    """Values on a grid.

    Attributes:
        grid: where the voxels lie.
        values: (I, J, K), see above.
        modality: DICOM's, as ``'CT'``; ``None`` if the file does not say, as NIfTI.
        inverted: whether the least value is white (DICOM's MONOCHROME1).
        ready: whether it is a picture of 8 bits that needs no window.
        own_window: of a DICOM file: (values, number along the last axis, None for the middle one) -> 0 ... 255.
    """

    grid: Grid
    values: Values
    modality: str | None = None
    inverted: bool = False
    ready: bool = False
    own_window: Callable[[np.ndarray, int | None], np.ndarray] | None = None
    _bounds: dict[Window, tuple[float, float]] = field(default_factory=dict, compare=False)

    def plane(self, view: SliceView) -> np.ndarray:
        """Values of a slice as it is shown, (H, W) or (H, W, 3)."""
        where: list[int | slice] = [slice(None)] * 3
        where[view.axis] = view.index
        return view.show(np.asarray(self.values[tuple(where)]))

    def plane_on(self, alignment: Alignment, view: SliceView) -> np.ndarray:
        """Values of a mask on a slice of its image, as it is shown.

        Args:
            alignment: of this volume to the image (:func:`align`).
            view: the slice of the image.

        Returns:
            (H, W).
        """
        where: list[int | slice] = []
        kept: list[tuple[int, int]] = []
        for along, sign, start in zip(*alignment, strict=True):
            if along == view.axis:
                where.append(start + sign * view.index)
                continue
            size = view.grid.shape[along]
            first = start if sign > 0 else start - size + 1
            where.append(slice(first, first + size))
            kept.append((along, sign))
        values = np.asarray(self.values[tuple(where)])
        values = values[tuple(slice(None, None, sign) for _, sign in kept)]
        return view.show(values.T if kept[0][0] > kept[1][0] else values)

    def picture(self, view: SliceView, windows: tuple[Window, ...]) -> np.ndarray:
        """A slice as it is shown.

        Args:
            view: which slice, and how.
            windows: one, or three for red, green and blue. Pictures of 8 bits take none and are left as they are.

        Returns:
            (H, W) uint8, or (H, W, 3) BGR with three windows or in colour.

        Raises:
            MedicalImageError: if there is no window, or one that does not fit.
        """
        values = self.plane(view)
        if values.ndim == 3:
            return np.ascontiguousarray(values[..., ::-1])
        if self.ready:
            grey = values.astype(np.uint8)
            return 255 - grey if self.inverted else grey
        if not windows:
            raise MedicalImageError(f'{self.grid.source} has more than 8 bits and needs a window: {CHOICES}')
        channels = [self._grey(values, window, view) for window in windows]
        return channels[0] if len(channels) == 1 else np.stack(channels[::-1], axis=-1)

    def _grey(self, values: np.ndarray, window: Window, view: SliceView) -> np.ndarray:
        if window.kind == 'dicom':
            if self.own_window is None:
                raise MedicalImageError(f'{self.grid.source} has no window of its own: choose {CHOICES}')
            shades = self.own_window(values, view.index if view.axis == 2 else None)
            grey = np.rint(np.clip(shades, 0, 255)).astype(np.uint8)
        else:
            if window.kind == 'preset' and self.modality not in (None, 'CT'):
                raise MedicalImageError(
                    f'{self.grid.source} is {self.modality}, and the window {window.name!r} is in Hounsfield units, '
                    "which only CT has: use percentiles ('p0.5,p99.5'), (level, width) or 'dicom'"
                )
            grey = to_grey(values, *self.bounds(window))
        return 255 - grey if self.inverted else grey

    def bounds(self, window: Window) -> tuple[float, float]:
        """What becomes black and white. Percentiles are of all voxels of the volume that are finite and not 0."""
        if window.kind != 'percentiles':
            return window.low, window.high
        if window not in self._bounds:
            values = np.asarray(self.values[:, :, :])
            # 0 is the air that scanners and skull stripping fill in; with it, bounds would follow the field of view.
            values = values[(values != 0) & np.isfinite(values)]
            low, high = np.percentile(values, [window.low, window.high]) if values.size else (0.0, 0.0)
            self._bounds[window] = float(low), float(high)
        return self._bounds[window]
