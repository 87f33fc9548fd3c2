from .bert import BertTextEncoder, read_encoder
from .errors import TextCacheError, TextEncoderError
from .int8 import quantize_text_encoder
from .text_cache import TextCache

__all__ = [
    'BertTextEncoder',
    'TextCache',
    'TextCacheError',
    'TextEncoderError',
    'quantize_text_encoder',
    'read_encoder',
]
