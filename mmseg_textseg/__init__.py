"""Text-guided segmentation as a plugin of MMSegmentation.

Importing the package registers every part in ``mmseg.registry``, and a loader of checkpoints that runs no code in
mmengine (docs/security.md).
"""

from .stack import detect_stack, point_stock_configs
from .version import __version__

point_stock_configs(detect_stack())

from . import apis, datasets, engine, evaluation, models, safe_load, visualization  # noqa: E402, F401  (registers)

__all__ = ['__version__']
