from .backbones import SVLA, LanguageBranch, SVLABlock, SVLAEncoder
from .decode_heads import FullScaleHead
from .layers import InstanceNorm, NMF2d, StrictPretrained, WeightsError
from .losses import (
    BoundaryWeightedSegLoss,
    VisionLanguageContrastiveLoss,
    boundary_weights,
    vision_language_contrastive_loss,
)
from .segmentors import TextEncoderDecoder
from .text_encoders import BertTextEncoder, TextEncoderError
from .text_features import TextFeatures

__all__ = [
    'SVLA',
    'BertTextEncoder',
    'BoundaryWeightedSegLoss',
    'FullScaleHead',
    'InstanceNorm',
    'LanguageBranch',
    'NMF2d',
    'SVLABlock',
    'SVLAEncoder',
    'StrictPretrained',
    'TextEncoderDecoder',
    'TextEncoderError',
    'TextFeatures',
    'VisionLanguageContrastiveLoss',
    'WeightsError',
    'boundary_weights',
    'vision_language_contrastive_loss',
]
