from .boundaries import Distances, boundary_iou, surface_distances
from .errors import EvaluationError
from .overlap import Counts, accuracy, count, dice, iou, mean_iou, pool, precision, recall
from .protocols import PROTOCOLS
from .text_seg_metric import TextSegMetric

__all__ = [
    'PROTOCOLS',
    'Counts',
    'Distances',
    'EvaluationError',
    'TextSegMetric',
    'accuracy',
    'boundary_iou',
    'count',
    'dice',
    'iou',
    'mean_iou',
    'pool',
    'precision',
    'recall',
    'surface_distances',
]
