"""Sentences are encoded once, however many pictures they are asked about."""

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..models import TextFeatures
from ..models.segmentors import TextEncoderDecoder


class TextMemo:
    """Encodes sentences, and remembers them by their token ids.

    In evaluation mode a sentence's features are the same in every batch: padding is masked.

    Args:
        model: in evaluation mode, with a text encoder; its weights must not change meanwhile.
        most: sentences to remember (at 20 tokens of 768 numbers 64 KB each); beyond, it starts anew.
    """

    def __init__(self, model: TextEncoderDecoder, most: int = 1024):
        self.model = model
        self.most = most
        self._known: dict[bytes, tuple[Tensor, Tensor]] = {}

    def __call__(self, samples: list) -> TextFeatures:
        """Features of the sentences of data samples, padded to the longest.

        Raises:
            ValueError: as :meth:`TextEncoderDecoder.encode_text`.
        """
        if any('text_ids' not in sample for sample in samples):
            return self.model.encode_text(samples)  # says what is missing
        keys = [sample.text_ids.cpu().numpy().tobytes() for sample in samples]
        if len(self._known.keys() | set(keys)) > self.most:
            self._known.clear()
        new = {key: sample for key, sample in zip(keys, samples, strict=True) if key not in self._known}
        if new:
            features = self.model.encode_text(list(new.values()))
            for key, tokens, mask, pooled in zip(new, *features, strict=True):
                self._known[key] = tokens[mask], pooled
        tokens, pooled = zip(*(self._known[key] for key in keys), strict=True)
        ones = [torch.ones(len(t), dtype=torch.bool, device=t.device) for t in tokens]
        return TextFeatures(pad_sequence(tokens, True), pad_sequence(ones, True), torch.stack(pooled))
