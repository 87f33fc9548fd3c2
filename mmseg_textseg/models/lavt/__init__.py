from .lavt_head import LAVTHead
from .lavt_swin import LAVTSwin
from .pixel_word_attention import LanguageGate, PixelWordAttention

__all__ = ['LAVTHead', 'LAVTSwin', 'LanguageGate', 'PixelWordAttention']
