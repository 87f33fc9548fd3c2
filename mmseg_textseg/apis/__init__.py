from .config import ConfigError, init_from, load_config, settle_text_encoder
from .inferencer import Query, TextSegInferencer
from .model_names import find_model
from .prediction import Prediction
from .preflight import Missing, find_missing

__all__ = [
    'ConfigError',
    'Missing',
    'Prediction',
    'Query',
    'TextSegInferencer',
    'find_missing',
    'find_model',
    'init_from',
    'load_config',
    'settle_text_encoder',
]
