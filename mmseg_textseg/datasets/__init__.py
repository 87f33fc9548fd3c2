"""Annotation tables, datasets and transforms."""

from . import transforms
from .annotations import AnnotationError, AnnotationRow, load_annotations, read_expressions
from .coskel import CoSKELDataset
from .errors import PictureError
from .glas import GlaSDataset
from .image_caption_dataset import ImageCaptionDataset
from .lvit_datasets import MoNuSegDataset, MosMedDataPlusDataset, QaTaCOV19Dataset
from .medvlsm import MedVLSMDataset
from .mffd import MFFDDataset
from .phantom import make_phantom, validate_phantom
from .refcoco import RefCOCODataset
from .refhl_seg import RefHLSegDataset
from .text_controls import shuffle_texts
from .text_seg_dataset import TextSegDataset
from .transforms import *  # noqa: F403

__all__ = [
    'AnnotationError',
    'AnnotationRow',
    'CoSKELDataset',
    'GlaSDataset',
    'ImageCaptionDataset',
    'MFFDDataset',
    'MedVLSMDataset',
    'MoNuSegDataset',
    'MosMedDataPlusDataset',
    'PictureError',
    'QaTaCOV19Dataset',
    'RefCOCODataset',
    'RefHLSegDataset',
    'TextSegDataset',
    'load_annotations',
    'make_phantom',
    'read_expressions',
    'shuffle_texts',
    'validate_phantom',
    *transforms.__all__,
]
