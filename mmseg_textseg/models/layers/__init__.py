from .nmf import NMF2d
from .norm import InstanceNorm
from .strict_init import StrictPretrained, WeightsError

__all__ = ['InstanceNorm', 'NMF2d', 'StrictPretrained', 'WeightsError']
