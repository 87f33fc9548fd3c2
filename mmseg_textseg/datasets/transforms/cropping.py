"""Random crops that keep the expression true; docs/augmentation.md explains them."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmseg.datasets.transforms import RandomCrop, Resize
from mmseg.registry import TRANSFORMS

from ..direction_words import find_direction_words


@TRANSFORMS.register_module()
class GuardedRandomCrop(RandomCrop):
    """``RandomCrop`` for pictures with an expression: it never cuts what the expression speaks of.

    The crop holds the whole foreground, so that the mask keeps all its parts; without foreground it is any crop. The
    whole picture is resized to ``crop_size`` instead, its shape changing with it, where

    - an expression names a direction ("upper left", "left of", "segment VI"): in a crop the upper left is elsewhere,
    - the foreground does not fit into a crop, or the picture is smaller than one.

    A connected part of the mask too small for the resized map is kept there with at least a pixel.

    Results always have the size ``crop_size``. Belongs after ``LoadMask``, and before or after flips.

    Required Keys:

    - img, gt_seg_map (0 is background)
    - text, or texts

    Modified Keys:

    - img, img_shape, the label maps of seg_fields

    Args:
        crop_size: of the result, ``(h, w)`` or one number for both.
        ignore_index: label that is neither foreground nor background.
        anatomy: further words (lower case) that count as anatomy, as in :class:`SwapDirectionWords`.

    Raises:
        KeyError: if there is no text or no mask.
    """

    def __init__(self, crop_size: int | tuple[int, int], ignore_index: int = 255, anatomy: Sequence[str] = ()) -> None:
        super().__init__(crop_size=crop_size, ignore_index=ignore_index)
        if isinstance(anatomy, str):
            raise ValueError(f'anatomy is {anatomy!r}; expected a list of words')
        self.anatomy = tuple(word.lower() for word in anatomy)
        self._resize = Resize(scale=self.crop_size[::-1], keep_ratio=False)

    def transform(self, results: dict) -> dict:
        """Crop or resize ``results['img']`` and the label maps."""
        where = results.get('img_path', 'sample')
        if 'gt_seg_map' not in results:
            raise KeyError(f'GuardedRandomCrop needs the mask of {where}: put it after LoadMask')
        texts = [results['text']] if 'text' in results else results.get('texts')
        if not texts:
            raise KeyError(f'GuardedRandomCrop needs an expression under the key "text" or "texts", for {where}')
        if any(find_direction_words(text, self.anatomy) for text in texts) or self._offsets(results) is None:
            labels = results['gt_seg_map']
            results = self._resize(results)
            self._restore_parts(labels, results['gt_seg_map'])
            return results
        return super().transform(results)

    def _restore_parts(self, labels: np.ndarray, resized: np.ndarray) -> None:
        """Write into the map (h, w) the connected parts of ``labels`` (H, W) that it has lost."""
        (height, width), (new_height, new_width) = labels.shape, resized.shape
        for label in np.unique(labels[(labels != 0) & (labels != self.ignore_index)]):
            count, parts = cv2.connectedComponents((labels == label).view(np.uint8))
            kept = cv2.resize(parts, (new_width, new_height), interpolation=cv2.INTER_NEAREST)
            lost = np.bincount(kept.ravel(), minlength=count) == 0
            lost[0] = False  # not a part
            if lost.any():
                rows, columns = np.nonzero(lost[parts])
                resized[rows * new_height // height, columns * new_width // width] = label

    def _offsets(self, results: dict) -> list[tuple[int, int]] | None:
        """First and last offset of a crop with all foreground in it, of rows and of columns; None if there is none."""
        labels = results['gt_seg_map']
        foreground = (labels != 0) & (labels != self.ignore_index)
        found = []
        for axis, (size, crop) in enumerate(zip(labels.shape, self.crop_size, strict=True)):
            lines = np.flatnonzero(foreground.any(axis=1 - axis))
            first, last = (0, size - crop) if not len(lines) else (lines[-1] + 1 - crop, lines[0])
            first, last = max(first, 0), min(last, size - crop)
            if first > last:
                return None
            found.append((int(first), int(last)))
        return found

    @cache_randomness
    def crop_bbox(self, results: dict) -> tuple[int, int, int, int]:
        """Rows and columns ``(y1, y2, x1, x2)`` of a crop that holds all foreground."""
        # The global generator is the one that mmcv's transforms share and MMEngine seeds.
        y, x = (int(np.random.randint(first, last + 1)) for first, last in self._offsets(results))  # noqa: NPY002
        return y, y + self.crop_size[0], x, x + self.crop_size[1]

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(crop_size={self.crop_size}, ignore_index={self.ignore_index}, '
            f'anatomy={self.anatomy})'
        )
