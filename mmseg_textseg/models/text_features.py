"""The one value in which text travels between parts. B batch, T tokens, C text width."""

from typing import NamedTuple

import torch
from torch import Tensor


class TextFeatures(NamedTuple):
    """Encoded sentences of a batch.

    Attributes:
        tokens: last hidden states, (B, T, C).
        mask: (B, T) bool, True where a real token (special ones included) stands, False on padding.
        pooled: mean of the real tokens, (B, C); zeros for a sentence without tokens.
    """

    tokens: Tensor
    mask: Tensor
    pooled: Tensor

    @classmethod
    def from_tokens(cls, tokens: Tensor, mask: Tensor) -> 'TextFeatures':
        """Pool by the mean over real tokens, L_avg before its projection (LSMS, eq. 14)."""
        weights = mask.to(tokens.dtype).unsqueeze(-1)  # (B, T, 1)
        pooled = (tokens * weights).sum(1) / weights.sum(1).clamp(min=1)
        return cls(tokens, mask, pooled)

    @classmethod
    def empty(cls, batch: int, length: int, channels: int, like: Tensor) -> 'TextFeatures':
        """Sentences without a single real token: zeros of the device and dtype of ``like``."""
        return cls(
            like.new_zeros(batch, length, channels),
            torch.zeros(batch, length, dtype=torch.bool, device=like.device),
            like.new_zeros(batch, channels),
        )
