from .full_scale_head import FullScaleHead
from .single_stage_head import SingleStageHead
from .up_attention_head import MSFFUpAttentionHead, UpAttentionHead

__all__ = ['FullScaleHead', 'MSFFUpAttentionHead', 'SingleStageHead', 'UpAttentionHead']
