from .nmf import NMF2d
from .norm import InstanceNorm
from .strict_init import StrictPretrained, WeightsError, match_weights
from .strip_conv import row_conv

__all__ = ['InstanceNorm', 'NMF2d', 'StrictPretrained', 'WeightsError', 'match_weights', 'row_conv']
