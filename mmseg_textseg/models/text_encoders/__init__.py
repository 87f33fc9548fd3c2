from .bert import BertTextEncoder, TextEncoderError, read_tokenizer_source

__all__ = ['BertTextEncoder', 'TextEncoderError', 'read_tokenizer_source']
