"""What encoders share whose text meets the patches of the first scale: PPE of MPTPN, and LViT."""

import torch.nn.functional as F
from torch import Tensor

from ..text_encoding import require_text
from ..text_features import TextFeatures


class PatchTextMixin:
    """For an encoder with ``text_channels``, ``text_convs``, ``img_size`` and ``num_text_tokens``.

    ``num_text_tokens`` is None where any number of tokens and any image size is taken, else (``token_mixing='conv'``)
    the most tokens, and ``img_size`` the only size.
    """

    @property
    def uses_text(self) -> bool:
        """Whether ``forward`` needs ``text``."""
        return self.text_channels is not None

    def _check(self, x: Tensor, text: TextFeatures | None) -> None:
        require_text(self, text)
        if self.num_text_tokens is None:
            return
        name = type(self).__name__
        if tuple(x.shape[2:]) != self.img_size:
            raise ValueError(
                f"{name}(token_mixing='conv') has one output for each patch of {self.img_size[0]} x "
                f'{self.img_size[1]} images, got {x.shape[2]} x {x.shape[3]}: resize them, set img_size, or use '
                "token_mixing='attention'"
            )
        if text.tokens.shape[1] > self.num_text_tokens:
            raise ValueError(
                f"{name}(token_mixing='conv', num_text_tokens={self.num_text_tokens}) got {text.tokens.shape[1]} "
                f'tokens: set TokenizeText(max_tokens={self.num_text_tokens}), a larger num_text_tokens, or '
                "token_mixing='attention'"
            )

    def _words(self, text: TextFeatures) -> Tensor:
        """Tokens C wide (B, T, C), with ``token_mixing='conv'`` padded to T = num_text_tokens."""
        words = self.text_convs(text)
        if self.num_text_tokens is None:
            return words
        return F.pad(words, (0, 0, 0, self.num_text_tokens - words.shape[1]))
