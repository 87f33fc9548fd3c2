"""Transforms: masks, expressions, and packing them."""

from .formatting import PackTextSegInputs
from .loading import LoadMask
from .text import PickText
from .tokenize import TokenizeText

__all__ = ['LoadMask', 'PackTextSegInputs', 'PickText', 'TokenizeText']
