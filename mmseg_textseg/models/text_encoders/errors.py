"""What can be wrong with a text encoder."""


class TextEncoderError(RuntimeError):
    """Weights, shape or vocabulary of a text encoder that cannot be used; the message holds the mend."""


class TextCacheError(TextEncoderError):
    """A file of a text cache that cannot be read or written; the message names it and the mend."""
