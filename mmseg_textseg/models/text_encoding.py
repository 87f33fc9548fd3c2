"""Sentences of a batch to TextFeatures, the same for every model that has a text encoder."""

from mmseg.utils import OptSampleList
from torch import nn

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


def encode_samples(text_encoder: nn.Module, data_samples: OptSampleList) -> TextFeatures:
    """Encode ``text_ids`` and ``text_mask`` of data samples, padded to the longest of the batch.

    Raises:
        ValueError: a sample without tokens, or tokenised with another vocabulary.
    """
    samples = data_samples or []
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
    ids = nn.utils.rnn.pad_sequence([s.text_ids for s in samples], batch_first=True)  # (B, T)
    mask = nn.utils.rnn.pad_sequence([s.text_mask for s in samples], batch_first=True)
    return text_encoder(ids, mask)
