from .config import ConfigError, init_from, load_config, settle_text_encoder
from .inferencer import Prediction, TextSegInferencer
from .preflight import Missing, find_missing

__all__ = [
    'ConfigError',
    'Missing',
    'Prediction',
    'TextSegInferencer',
    'find_missing',
    'init_from',
    'load_config',
    'settle_text_encoder',
]
