"""Published datasets -> one layout: images/, masks/ and a jsonl a split (``tools/convert_dataset.py``).

A converter is a module with ``HELP`` (one line), ``add_arguments(parser)`` and ``convert(src, conversion, args)``.
"""

from .conversion import Conversion, ConversionError

__all__ = ['Conversion', 'ConversionError']
