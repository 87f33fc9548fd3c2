"""Published datasets, and volumes -> one layout: images/, masks/ and a jsonl a split (``tools/convert_dataset.py``).

A converter is a module with ``HELP`` (one line), ``add_arguments(parser)`` and ``convert(src, conversion, args)``.
"""

from . import coco_captions, glas, monuseg, mosmeddata_plus, qata_cov19, refcoco, volumes
from .conversion import Conversion, ConversionError

# Name on the command line -> module.
CONVERTERS = {
    'coco-captions': coco_captions,
    'glas': glas,
    'monuseg': monuseg,
    'mosmeddata-plus': mosmeddata_plus,
    'qata-cov19': qata_cov19,
    'refcoco': refcoco,
    'volume': volumes,
}

__all__ = ['CONVERTERS', 'Conversion', 'ConversionError']
