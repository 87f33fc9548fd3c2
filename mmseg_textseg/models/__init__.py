from .backbones import PPE, SVLA, LanguageBranch, SVLABlock, SVLAEncoder
from .data_preprocessors import TwoViewDataPreProcessor
from .decode_heads import FullScaleHead, MSFFUpAttentionHead, UpAttentionHead
from .layers import InstanceNorm, NMF2d, StrictPretrained, UpAttention, WeightsError, upsampled_conv
from .losses import (
    BoundaryWeightedSegLoss,
    VisionLanguageContrastiveLoss,
    WeightedBCELoss,
    WeightedDiceLoss,
    boundary_weights,
    simsiam_loss,
    vision_language_contrastive_loss,
    weighted_bce_loss,
    weighted_dice_loss,
)
from .necks import MSFF, PatchExpanding, PatchMerging
from .pretraining import PPESimSiam
from .segmentors import TextEncoderDecoder, TextSegTTAModel
from .text_encoders import BertTextEncoder, TextEncoderError
from .text_features import TextFeatures

__all__ = [
    'MSFF',
    'PPE',
    'SVLA',
    'BertTextEncoder',
    'BoundaryWeightedSegLoss',
    'FullScaleHead',
    'InstanceNorm',
    'LanguageBranch',
    'MSFFUpAttentionHead',
    'NMF2d',
    'PPESimSiam',
    'PatchExpanding',
    'PatchMerging',
    'SVLABlock',
    'SVLAEncoder',
    'StrictPretrained',
    'TextEncoderDecoder',
    'TextEncoderError',
    'TextFeatures',
    'TextSegTTAModel',
    'TwoViewDataPreProcessor',
    'UpAttention',
    'UpAttentionHead',
    'VisionLanguageContrastiveLoss',
    'WeightedBCELoss',
    'WeightedDiceLoss',
    'WeightsError',
    'boundary_weights',
    'simsiam_loss',
    'upsampled_conv',
    'vision_language_contrastive_loss',
    'weighted_bce_loss',
    'weighted_dice_loss',
]
