from .allocator import keep_freed_memory
from .collapse_monitor import CollapseError, CollapseMonitorHook
from .epi_hook import EPIHook
from .optim import BFloat16OptimWrapper
from .visualization_hook import TextSegVisualizationHook

__all__ = [
    'BFloat16OptimWrapper',
    'CollapseError',
    'CollapseMonitorHook',
    'EPIHook',
    'TextSegVisualizationHook',
    'keep_freed_memory',
]
