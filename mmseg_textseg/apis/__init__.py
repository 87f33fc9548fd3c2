from .config import ConfigError, load_config, settle_text_encoder
from .inferencer import Prediction, TextSegInferencer
from .preflight import Missing, find_missing

__all__ = [
    'ConfigError',
    'Missing',
    'Prediction',
    'TextSegInferencer',
    'find_missing',
    'load_config',
    'settle_text_encoder',
]
