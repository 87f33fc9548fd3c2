from .nmf import NMF2d
from .norm import InstanceNorm
from .strip_conv import row_conv
from .strict_init import StrictPretrained, WeightsError

__all__ = ['InstanceNorm', 'NMF2d', 'StrictPretrained', 'WeightsError', 'row_conv']
