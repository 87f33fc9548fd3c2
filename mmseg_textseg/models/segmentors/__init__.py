from .text_encoder_decoder import TextEncoderDecoder

__all__ = ['TextEncoderDecoder']
