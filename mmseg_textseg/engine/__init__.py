from .collapse_monitor import CollapseError, CollapseMonitorHook
from .optim import BFloat16OptimWrapper

__all__ = ['BFloat16OptimWrapper', 'CollapseError', 'CollapseMonitorHook']
