from .text_encoder_decoder import TextEncoderDecoder
from .tta import TextSegTTAModel

__all__ = ['TextEncoderDecoder', 'TextSegTTAModel']
