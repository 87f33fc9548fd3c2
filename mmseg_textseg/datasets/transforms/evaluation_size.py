"""Evaluation at the network's size instead of the picture's own."""

import mmcv
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ..spacing import pixel_spacing


@TRANSFORMS.register_module()
class EvaluateAtNetworkSize(BaseTransform):
    """Make the size that the picture has now the one that predictions and truth are compared at.

    For the last place of a test pipeline before packing; ``tools/test.py --evaluate-at network`` puts it there. Every
    segmentor resizes its logits to ``ori_shape``: here that is the size of the picture as the network sees it (without
    the data preprocessor's padding), so nothing is resized any more, in whole and in slide inference (where it is the
    picture's size, not the window's). The truth is resized to it by nearest neighbours.

    Required Keys:

    - img (H x W x C)
    - ori_shape
    - gt_seg_map (optional)
    - spacing, attributes (optional)

    Modified Keys:

    - ori_shape (H, W of ``img``)
    - gt_seg_map (resized)
    - spacing (mm at the new size; added where the attributes know it)

    Raises:
        ValueError: if the truth is to be resized and ``ori_shape`` is not its size: something else than Resize has
            changed the picture's shape.
    """

    def transform(self, results: dict) -> dict:
        """Change ``results['ori_shape']`` and what depends on it."""
        old, new = tuple(results['ori_shape'][:2]), tuple(results['img'].shape[:2])
        spacing = pixel_spacing(results)
        if spacing is not None:
            results['spacing'] = tuple(step * before / now for step, before, now in zip(spacing, old, new, strict=True))
        truth = results.get('gt_seg_map')
        if truth is not None and truth.shape != new:
            if truth.shape != old:
                raise ValueError(
                    f'{results.get("img_path")}: picture {new[0]} x {new[1]}, mask {truth.shape[0]} x '
                    f'{truth.shape[1]}, original {old[0]} x {old[1]} (height x width): EvaluateAtNetworkSize needs a '
                    'mask of the original size or of the picture: put LoadMask last but for it, or before Resize'
                )
            results['gt_seg_map'] = mmcv.imresize(truth, new[::-1], interpolation='nearest')
        results['ori_shape'] = new
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}()'
