from .nmf import NMF2d, NMFHamburger
from .norm import InstanceNorm
from .strict_init import StrictInitModule, StrictPretrained, WeightsError, match_weights
from .strip_conv import row_conv
from .up_attention import UpAttention
from .up_conv import upsampled_conv

__all__ = [
    'InstanceNorm',
    'NMF2d',
    'NMFHamburger',
    'StrictInitModule',
    'StrictPretrained',
    'UpAttention',
    'WeightsError',
    'match_weights',
    'row_conv',
    'upsampled_conv',
]
