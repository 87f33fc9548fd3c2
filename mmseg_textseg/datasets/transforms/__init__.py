"""Transforms: masks, expressions, turns, views, and packing them."""

from .cropping import GuardedRandomCrop
from .directions import RandomRightAngle, SwapDirectionWords
from .formatting import PackTextSegInputs
from .loading import LoadMask
from .photometric import ColorJitter, GaussianBlur
from .text import PickText
from .tokenize import TokenizeText
from .views import PackViews, TwoViews

__all__ = [
    'ColorJitter',
    'GaussianBlur',
    'GuardedRandomCrop',
    'LoadMask',
    'PackTextSegInputs',
    'PackViews',
    'PickText',
    'RandomRightAngle',
    'SwapDirectionWords',
    'TokenizeText',
    'TwoViews',
]
