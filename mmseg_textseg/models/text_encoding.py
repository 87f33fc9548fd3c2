"""Sentences of a batch to TextFeatures, the same for every model that has a text encoder."""

import numpy as np
import torch
from mmseg.utils import OptSampleList, SampleList
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from .text_features import TextFeatures


def uses_text(module: nn.Module) -> bool:
    """Whether a part declares that its calls take ``text=``."""
    return bool(getattr(module, 'uses_text', False))


def require_text(encoder: nn.Module, text: TextFeatures | None) -> None:
    """Refuse a missing sentence in text mode, and a sentence in text-free mode.

    Args:
        encoder: a backbone with ``uses_text`` and ``text_channels``.
        text: what its ``forward`` got.

    Raises:
        ValueError: naming the class and its mode.
    """
    if (text is None) != encoder.uses_text:
        return
    name = type(encoder).__name__
    raise ValueError(
        f'{name} in text-free mode (text_channels=None) takes no text'
        if text is not None
        else f'{name}(text_channels={encoder.text_channels}) needs text=TextFeatures(...); '
        'text_channels=None builds the text-free encoder'
    )


def check_text_width(name: str, part: nn.Module, text_encoder: nn.Module) -> None:
    """Refuse a part that expects tokens of another width.

    Raises:
        ValueError: naming the part and both widths.
    """
    width = getattr(part, 'text_channels', None)
    if width is not None and width != text_encoder.out_channels:
        raise ValueError(
            f'{name}.text_channels={width} but the text encoder is {text_encoder.out_channels} wide; '
            f'set text_channels={text_encoder.out_channels}'
        )


@torch.compiler.disable
def sentence_keys(ids: Tensor, mask: Tensor) -> list[bytes]:
    """A name a row of (B, T), equal for equal sentences: its ids as int64 bytes, -1 for a hole, no padding."""
    rows = torch.where(mask, ids.long(), -1).cpu().numpy()  # one copy from the device, whatever the batch
    ends = [int(np.flatnonzero(row >= 0).max(initial=-1)) + 1 for row in rows]
    return [row[:end].tobytes() for row, end in zip(rows, ends, strict=True)]


def encode_samples(text_encoder: nn.Module, data_samples: OptSampleList) -> TextFeatures:
    """Encode ``text_ids`` and ``text_mask`` of data samples, padded to the longest of the batch.

    Equal sentences of a batch are encoded once, and the gradients of all of them add up. In training with dropout
    they therefore share one draw. Where features cannot change (a frozen encoder, or no gradient in evaluation mode)
    they come out of ``text_encoder.cache``, if it has a :class:`~mmseg_textseg.models.text_encoders.TextCache`.

    Raises:
        ValueError: a sample without tokens, or tokenised with another vocabulary.
        TextCacheError: a file of the cache is damaged or cannot be written.
    """
    ids, mask = _tokens(text_encoder, data_samples or [])
    sentences = sentence_keys(ids, mask)
    cache = getattr(text_encoder, 'cache', None)
    trained = torch.is_grad_enabled() and not getattr(text_encoder, 'frozen', False)
    if cache is not None and not text_encoder.training and not trained:
        return cache.encode(text_encoder, ids, mask, sentences)
    numbers = {sentence: number for number, sentence in enumerate(dict.fromkeys(sentences))}
    if len(numbers) == len(sentences):
        return text_encoder(ids, mask)
    first = [sentences.index(sentence) for sentence in numbers]
    text = text_encoder(ids[first], mask[first])
    rows = [numbers[sentence] for sentence in sentences]
    return TextFeatures(text.tokens[rows], mask, text.pooled[rows])


def _tokens(text_encoder: nn.Module, samples: SampleList) -> tuple[Tensor, Tensor]:
    """Ids and mask (B, T) of samples that were tokenised for this encoder."""
    absent = [str(s.metainfo.get('img_path', f'sample {i}')) for i, s in enumerate(samples) if 'text_ids' not in s]
    if absent or not samples:
        raise ValueError(
            f'this model needs a sentence for every image; none for {", ".join(absent[:5]) or "the batch"}'
            '. Put TokenizeText and PackTextSegInputs into the pipeline, or use TextSegInferencer'
        )
    expected = text_encoder.fingerprint
    for sample in samples:
        made_by = sample.metainfo.get('tokenizer')
        if made_by is not None and made_by != expected:
            raise ValueError(
                f'{sample.metainfo.get("img_path", "a sample")} was tokenised with {made_by}, the text encoder '
                f'expects {expected}: give TokenizeText(tokenizer=...) the same source as '
                'model.text_encoder (tools/train.py does so by itself)'
            )
    ids = pad_sequence([s.text_ids for s in samples], batch_first=True)  # (B, T)
    return ids, pad_sequence([s.text_mask for s in samples], batch_first=True)
