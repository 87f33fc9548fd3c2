from .allocator import keep_freed_memory
from .checkpoints import WholeCheckpointHook, find_whole_checkpoint
from .collapse_monitor import CollapseError, CollapseMonitorHook
from .epi_hook import EPIHook
from .non_finite import NonFiniteError, NonFiniteLossHook
from .optim import BFloat16OptimWrapper
from .runner import ResumableEpochLoop, TextSegRunner
from .visualization_hook import TextSegVisualizationHook

__all__ = [
    'BFloat16OptimWrapper',
    'CollapseError',
    'CollapseMonitorHook',
    'EPIHook',
    'NonFiniteError',
    'NonFiniteLossHook',
    'ResumableEpochLoop',
    'TextSegRunner',
    'TextSegVisualizationHook',
    'WholeCheckpointHook',
    'find_whole_checkpoint',
    'keep_freed_memory',
]
