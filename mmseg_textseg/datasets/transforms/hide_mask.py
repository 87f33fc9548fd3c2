"""Items without labels, for semi-supervised training."""

import hashlib
import os.path as osp

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class HideMask(BaseTransform):
    """Put a mask that is ``ignore_index`` everywhere in the place of the masks of a share of the images.

    Every loss passes over such an item, until ``EPIHook`` gives it a pseudo label. After ``LoadMask`` it makes of a
    labelled set one with few labels, as papers test it; with ``share=1`` and no ``LoadMask`` it serves images that
    have no masks. Which images lose theirs hangs on the name of the file and ``seed`` alone: it is the same in every
    epoch, run and process, and all items of an image share it.

    Required Keys:

    - img
    - img_path (not where ``share`` is 1)
    - gt_seg_map (optional)

    Modified Keys:

    - gt_seg_map (np.uint8, of the size of ``img``; added where there is none)
    - seg_fields

    Args:
        share: of the images, 0 to 1.
        seed: of the choice.
        ignore_index: label that counts nowhere.

    Raises:
        ValueError: ``share`` is none.
    """

    def __init__(self, share: float = 1.0, seed: int = 0, ignore_index: int = 255) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f'share is {share}; expected the share of the images that lose their mask, 0 to 1')
        self.share, self.seed, self.ignore_index = share, seed, ignore_index

    def transform(self, results: dict) -> dict:
        """Change ``results['gt_seg_map']``, or nothing."""
        if self.share < 1 and self._draw(results['img_path']) >= self.share:
            return results
        results['gt_seg_map'] = np.full(results['img'].shape[:2], self.ignore_index, np.uint8)
        fields = results.setdefault('seg_fields', [])
        if 'gt_seg_map' not in fields:
            fields.append('gt_seg_map')
        return results

    def _draw(self, path: str) -> float:
        """A number in [0, 1) of a file."""
        # A checksum such as CRC-32 would draw alike for several seeds.
        digest = hashlib.sha256(f'{self.seed}:{osp.basename(path)}'.encode()).digest()
        return int.from_bytes(digest[:4], 'big') / 2**32

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(share={self.share}, seed={self.seed}, ignore_index={self.ignore_index})'
