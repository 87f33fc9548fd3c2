from .boundary_weighted import (
    BoundaryWeightedSegLoss,
    binary_focal_loss,
    boundary_weights,
    weighted_soft_dice_loss,
)
from .vision_language_contrastive import VisionLanguageContrastiveLoss, vision_language_contrastive_loss

__all__ = [
    'BoundaryWeightedSegLoss',
    'VisionLanguageContrastiveLoss',
    'binary_focal_loss',
    'boundary_weights',
    'vision_language_contrastive_loss',
    'weighted_soft_dice_loss',
]
