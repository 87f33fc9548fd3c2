"""Published datasets -> one layout: images/, masks/ and a jsonl a split (``tools/convert_dataset.py``).

A converter is a module with ``HELP`` (one line), ``add_arguments(parser)`` and ``convert(src, conversion, args)``.
"""

from . import refcoco
from .conversion import Conversion, ConversionError

# Name on the command line -> module.
CONVERTERS = {
    'refcoco': refcoco,
}

__all__ = ['CONVERTERS', 'Conversion', 'ConversionError']
