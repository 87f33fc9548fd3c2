from .boundary_weighted import (
    BoundaryWeightedSegLoss,
    binary_focal_loss,
    boundary_weights,
    weighted_soft_dice_loss,
)
from .simsiam import simsiam_loss
from .vision_language_contrastive import VisionLanguageContrastiveLoss, vision_language_contrastive_loss
from .weighted import WeightedBCELoss, WeightedDiceLoss, weighted_bce_loss, weighted_dice_loss

__all__ = [
    'BoundaryWeightedSegLoss',
    'VisionLanguageContrastiveLoss',
    'WeightedBCELoss',
    'WeightedDiceLoss',
    'binary_focal_loss',
    'boundary_weights',
    'simsiam_loss',
    'vision_language_contrastive_loss',
    'weighted_bce_loss',
    'weighted_dice_loss',
    'weighted_soft_dice_loss',
]
