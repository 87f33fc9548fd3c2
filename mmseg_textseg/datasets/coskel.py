"""CO-SKEL: objects of many kinds (Jerripothula et al., "Object co-skeletonization with co-segmentation", CVPR 2017)."""

from mmseg.registry import DATASETS

from .text_seg_dataset import TextSegDataset


@DATASETS.register_module()
class CoSKELDataset(TextSegDataset):
    """CO-SKEL v1.1: ``images/<kind>/<name>.jpg`` and ``GT_masks/<kind>/<name>.png`` below ``data_root``.

    The table names images with their folder (``camel/<name>.jpg``); a mask is named like its image. The folders are
    those that published readers of ``CO-SKEL_v1.1.zip`` use; the archive itself was not at hand.
    """

    METAINFO: dict = dict(classes=('background', 'object'), palette=[[0, 0, 0], [255, 127, 14]])
    DATA_PREFIX: dict = dict(img_path='images', seg_map_path='GT_masks')
