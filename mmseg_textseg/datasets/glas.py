"""GlaS: glands in colon tissue (Sirinukunwattana et al., "Gland segmentation in colon histology images", 2017)."""

import posixpath

from mmseg.registry import DATASETS

from .file_names import split_name
from .text_seg_dataset import TextSegDataset


@DATASETS.register_module()
class GlaSDataset(TextSegDataset):
    """GlaS as published: one folder (``data_root``) with ``train_1.bmp``, ``train_1_anno.bmp``, ``testA_1.bmp``, ...

    The table names the images. A mask holds the number of each gland; ``LoadMask`` takes all of them as foreground.
    """

    METAINFO: dict = dict(classes=('background', 'gland'), palette=[[0, 0, 0], [227, 119, 194]])

    @staticmethod
    def mask_name(image_name: str) -> str:
        """``'train_1.bmp'`` -> ``'train_1_anno.bmp'``."""
        below, stem, extension = split_name(image_name)
        return posixpath.join(below, f'{stem}_anno{extension}')
