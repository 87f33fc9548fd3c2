"""Datasets in the layout of LViT (Li et al., IEEE TMI 2024; github.com/HUANGLIZI/LViT).

``data_root`` is the folder of one split: ``Train_Folder`` with ``img/``, ``labelcol/`` and ``Train_text.xlsx``
(columns Image, Description), and the same for Val and Test.
"""

import posixpath

from mmseg.registry import DATASETS

from .file_names import split_name
from .text_seg_dataset import TextSegDataset

MASK_PREFIX = 'mask_'


@DATASETS.register_module()
class MoNuSegDataset(TextSegDataset):
    """Nuclei in stained tissue (Kumar et al. 2017, 2020) with LViT's sentences; a mask is named like its image."""

    METAINFO: dict = dict(classes=('background', 'nucleus'), palette=[[0, 0, 0], [106, 61, 154]])
    DATA_PREFIX: dict = dict(img_path='img', seg_map_path='labelcol')


@DATASETS.register_module()
class QaTaCOV19Dataset(TextSegDataset):
    """COVID-19 infection in chest X-rays (Degerli et al. 2022) with LViT's sentences.

    The mask of ``covid_1.png`` is ``mask_covid_1.png``. LViT's tables name the mask in the column Image; tables that
    name the image work as well.
    """

    METAINFO: dict = dict(classes=('background', 'infection'), palette=[[0, 0, 0], [31, 120, 180]])
    DATA_PREFIX: dict = dict(img_path='img', seg_map_path='labelcol')

    @staticmethod
    def image_name(cell: str) -> str:
        """``'mask_covid_1.png'`` or ``'covid_1.png'`` -> ``'covid_1.png'``."""
        below, stem, extension = split_name(cell)
        return posixpath.join(below, stem.removeprefix(MASK_PREFIX) + extension)

    @staticmethod
    def mask_name(image_name: str) -> str:
        """``'covid_1.png'`` -> ``'mask_covid_1.png'``."""
        below, stem, extension = split_name(image_name)
        return posixpath.join(below, MASK_PREFIX + stem + extension)


@DATASETS.register_module()
class MosMedDataPlusDataset(TextSegDataset):
    """COVID-19 infection in CT slices (Morozov et al. 2020, and others) with LViT's sentences.

    A mask is named like its image. In Kaggle's folders: ``data_prefix=dict(img_path='frames', seg_map_path='masks')``.
    """

    METAINFO: dict = dict(classes=('background', 'infection'), palette=[[0, 0, 0], [31, 120, 180]])
    DATA_PREFIX: dict = dict(img_path='img', seg_map_path='labelcol')
