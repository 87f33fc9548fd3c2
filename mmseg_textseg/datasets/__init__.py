"""Annotation tables, datasets and transforms."""

from . import transforms
from .annotations import AnnotationError, AnnotationRow, load_annotations, read_expressions
from .refhl_seg import RefHLSegDataset
from .text_controls import shuffle_texts
from .text_seg_dataset import TextSegDataset
from .transforms import *  # noqa: F403

__all__ = [
    'AnnotationError',
    'AnnotationRow',
    'RefHLSegDataset',
    'TextSegDataset',
    'load_annotations',
    'read_expressions',
    'shuffle_texts',
    *transforms.__all__,
]
