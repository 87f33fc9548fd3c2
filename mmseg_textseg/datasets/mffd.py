"""MFFD: flowers of fruit trees (Dias, Tabb, Medeiros, "Multispecies fruit flower detection using a refined semantic
segmentation network", IEEE RA-L 2018)."""

import posixpath
import re

from mmseg.registry import DATASETS

from .file_names import split_name
from .text_seg_dataset import TextSegDataset

# Folder of the images -> folder of their masks; AgML calls the peach images Peach, another reader PeachSelected.
LABEL_FOLDERS = {
    'FlowerImages': 'AppleA_Labels',
    'AppleB': 'AppleB_Labels',
    'Peach': 'PeachLabels',
    'PeachSelected': 'PeachLabels',
    'Pear': 'PearLabels',
}


@DATASETS.register_module()
class MFFDDataset(TextSegDataset):
    """The archives of the USDA's Ag Data Commons, their folders beside one another in ``data_root``.

    Images are in ``FlowerImages`` (AppleA), ``AppleB``, ``Peach`` or ``PeachSelected``, and ``Pear``; masks in
    ``AppleA_Labels``, ``AppleB_Labels``, ``PeachLabels`` and ``PearLabels``. The table names images with their folder
    (``FlowerImages/IMG_0248.JPG``). Masks are named like their images, but for the camera's ``IMG_0248``, whose mask
    is ``248.png``. Images in other folders have their masks at the same place below ``seg_map_path``.

    Folders and names are those that published readers of the archives use; the archives were not at hand. A mask
    column, or another ``data_prefix``, serves where yours differ.
    """

    METAINFO: dict = dict(classes=('background', 'flower'), palette=[[0, 0, 0], [255, 152, 150]])

    @staticmethod
    def mask_name(image_name: str) -> str:
        """``FlowerImages/IMG_0248.JPG`` -> ``AppleA_Labels/248.png``, ``Pear/1_2.bmp`` -> ``PearLabels/1_2.png``."""
        below, stem, _ = split_name(image_name)
        parent, folder = posixpath.split(below)
        camera = re.fullmatch(r'IMG_(\d+)', stem)
        number = str(int(camera[1])) if camera else stem
        return posixpath.join(parent, LABEL_FOLDERS.get(folder, folder), f'{number}.png')
