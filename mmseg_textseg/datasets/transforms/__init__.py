"""Transforms: masks, expressions, turns, views, and packing them."""

from .caching import CachedTransforms
from .cropping import GuardedRandomCrop
from .directions import RandomRightAngle, SwapDirectionWords
from .evaluation_size import EvaluateAtNetworkSize
from .formatting import PackTextSegInputs
from .hide_mask import HideMask
from .loading import LoadMask
from .medical import LoadMedicalImage, LoadMedicalMask
from .photometric import ColorJitter, GaussianBlur
from .text import PickText
from .tokenize import TokenizeText
from .views import PackViews, TwoViews

__all__ = [
    'CachedTransforms',
    'ColorJitter',
    'EvaluateAtNetworkSize',
    'GaussianBlur',
    'GuardedRandomCrop',
    'HideMask',
    'LoadMask',
    'LoadMedicalImage',
    'LoadMedicalMask',
    'PackTextSegInputs',
    'PackViews',
    'PickText',
    'RandomRightAngle',
    'SwapDirectionWords',
    'TokenizeText',
    'TwoViews',
]
