from .bert import BertTextEncoder, TextEncoderError, read_encoder

__all__ = ['BertTextEncoder', 'TextEncoderError', 'read_encoder']
