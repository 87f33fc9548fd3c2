from .backbones import PPE, SVLA, LanguageBranch, SVLABlock, SVLAEncoder
from .data_preprocessors import TwoViewDataPreProcessor
from .decode_heads import FullScaleHead, MSFFUpAttentionHead, SingleStageHead, UpAttentionHead
from .lavt import LanguageGate, LAVTHead, LAVTSwin, PixelWordAttention
from .layers import InstanceNorm, NMF2d, StrictPretrained, UpAttention, WeightsError, upsampled_conv
from .layers.text_fusion import CrossAttentionFusion, LanguageFusion, TextFusion
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
from .lvit import PLAM, DownViT, LViT, LViTHead, LVLoss, Reconstruct, UpViT
from .mixing import MixingError, check_mix
from .necks import MSFF, PatchExpanding, PatchMerging, TextFusionNeck
from .pretraining import PPESimSiam
from .segmentors import TextEncoderDecoder, TextSegTTAModel
from .text_encoders import BertTextEncoder, TextEncoderError
from .text_features import TextFeatures

__all__ = [
    'MSFF',
    'PLAM',
    'PPE',
    'SVLA',
    'BertTextEncoder',
    'BoundaryWeightedSegLoss',
    'CrossAttentionFusion',
    'DownViT',
    'FullScaleHead',
    'InstanceNorm',
    'LAVTHead',
    'LAVTSwin',
    'LVLoss',
    'LViT',
    'LViTHead',
    'LanguageBranch',
    'LanguageFusion',
    'LanguageGate',
    'MSFFUpAttentionHead',
    'MixingError',
    'NMF2d',
    'PPESimSiam',
    'PatchExpanding',
    'PatchMerging',
    'PixelWordAttention',
    'Reconstruct',
    'SVLABlock',
    'SVLAEncoder',
    'SingleStageHead',
    'StrictPretrained',
    'TextEncoderDecoder',
    'TextEncoderError',
    'TextFeatures',
    'TextFusion',
    'TextFusionNeck',
    'TextSegTTAModel',
    'TwoViewDataPreProcessor',
    'UpAttention',
    'UpAttentionHead',
    'UpViT',
    'VisionLanguageContrastiveLoss',
    'WeightedBCELoss',
    'WeightedDiceLoss',
    'WeightsError',
    'boundary_weights',
    'check_mix',
    'simsiam_loss',
    'upsampled_conv',
    'vision_language_contrastive_loss',
    'weighted_bce_loss',
    'weighted_dice_loss',
]
