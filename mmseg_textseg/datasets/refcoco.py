"""RefCOCO, RefCOCO+, RefCOCOg: objects of COCO with referring expressions, as ``convert_dataset.py refcoco`` writes."""

from mmseg.registry import DATASETS

from .text_seg_dataset import TextSegDataset


@DATASETS.register_module()
class RefCOCODataset(TextSegDataset):
    """Any of the three: ``masks/`` and a jsonl a split below ``data_root``, COCO's ``train2014`` beside it.

    Where the images lie elsewhere, or ``data_root`` is a symbolic link: ``data_prefix=dict(img_path='/path/train2014',
    seg_map_path='masks')``. ``text_column='raw'`` takes the sentences as they were typed instead of the cleaned ones.
    """

    METAINFO: dict = dict(classes=('background', 'object'), palette=[[0, 0, 0], [255, 127, 14]])
    DATA_PREFIX: dict = dict(img_path='../coco/train2014', seg_map_path='masks')
