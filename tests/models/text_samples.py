"""Tokenised sentences without a tokenizer, and what a batch of them means."""

import torch
from mmseg.structures import SegDataSample
from torch.nn.functional import pad

from mmseg_textseg.models import TextFeatures

VOCABULARY = 40
A, B, C = [2, 7, 9, 3], [2, 9, 7, 3], [2, 7, 9, 11, 12, 3]


def sample(ids, mask=None) -> SegDataSample:
    made = SegDataSample()
    ids = torch.tensor(ids)
    made.set_data(dict(text_ids=ids, text_mask=torch.ones(len(ids), dtype=torch.bool) if mask is None else mask))
    return made


def row_by_row(encoder, samples) -> TextFeatures:
    """Each sentence alone through the encoder, then padded."""
    alone = [encoder(s.text_ids[None], s.text_mask[None]) for s in samples]
    longest = max(len(s.text_ids) for s in samples)
    tokens = torch.cat([pad(t.tokens, (0, 0, 0, longest - t.tokens.shape[1])) for t in alone])
    mask = torch.cat([pad(t.mask, (0, longest - t.mask.shape[1])) for t in alone])
    return TextFeatures(tokens, mask, torch.cat([t.pooled for t in alone]))


def encoded(encoder) -> list[int]:
    """A list that gets the number of sentences of each pass through the encoder."""
    calls = []
    encoder.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    return calls
