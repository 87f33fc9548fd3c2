from .full_scale_head import FullScaleHead
from .up_attention_head import MSFFUpAttentionHead, UpAttentionHead

__all__ = ['FullScaleHead', 'MSFFUpAttentionHead', 'UpAttentionHead']
