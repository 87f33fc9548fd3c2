from .msff import MSFF, PatchExpanding, PatchMerging

__all__ = ['MSFF', 'PatchExpanding', 'PatchMerging']
