from .overlap import Counts, count, dice, iou, pool
from .text_seg_metric import TextSegMetric

__all__ = ['Counts', 'TextSegMetric', 'count', 'dice', 'iou', 'pool']
