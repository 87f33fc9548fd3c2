"""Annotation tables, datasets and transforms."""

from . import transforms
from .annotations import AnnotationError, AnnotationRow, load_annotations, read_expressions
from .phantom import make_phantom, validate_phantom
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
    'make_phantom',
    'read_expressions',
    'shuffle_texts',
    'validate_phantom',
    *transforms.__all__,
]
