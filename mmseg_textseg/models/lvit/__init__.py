from .lv_loss import LVLoss, lv_loss, most_similar
from .lvit import LViT
from .lvit_head import LViTHead
from .plam import PLAM, PLAMUpBlock
from .vit import DownViT, Reconstruct, UpViT

__all__ = [
    'PLAM',
    'DownViT',
    'LVLoss',
    'LViT',
    'LViTHead',
    'PLAMUpBlock',
    'Reconstruct',
    'UpViT',
    'lv_loss',
    'most_similar',
]
