from .overlap import Counts, accuracy, count, dice, iou, mean_iou, pool, precision, recall
from .text_seg_metric import TextSegMetric

__all__ = [
    'Counts',
    'TextSegMetric',
    'accuracy',
    'count',
    'dice',
    'iou',
    'mean_iou',
    'pool',
    'precision',
    'recall',
]
