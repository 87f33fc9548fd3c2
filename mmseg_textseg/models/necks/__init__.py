from .msff import MSFF, PatchExpanding, PatchMerging
from .text_fusion_neck import TextFusionNeck

__all__ = ['MSFF', 'PatchExpanding', 'PatchMerging', 'TextFusionNeck']
