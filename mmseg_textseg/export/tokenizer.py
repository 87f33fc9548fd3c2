"""A tokenizer as one file that the ``tokenizers`` library reads: special tokens, cutting and padding inside."""

from collections.abc import Iterable
from pathlib import Path

from ..tokenization import TextTokenizer
from .graph import ExportError


def write_tokenizer(tokenizer: TextTokenizer, max_tokens: int, path: Path, sentences: Iterable[str]) -> dict:
    """Write ``tokenizer.json``, which gives the ids of ``TokenizeText``.

    ``Tokenizer.from_file(path).encode_batch(sentences)`` cuts to ``max_tokens`` and pads to the longest of the batch;
    ``attention_mask`` of its results is the token mask.

    Args:
        tokenizer: of the model.
        max_tokens: longest result, special tokens included.
        path: the file.
        sentences: on which the file is compared with ``tokenizer``, besides a few that are hard for tokenizers.

    Returns:
        What export.json says of it.

    Raises:
        ExportError: the file gives other ids.
    """
    from tokenizers import Tokenizer
    from tokenizers.processors import BertProcessing

    theirs = tokenizer.backend
    made = Tokenizer.from_str(theirs.backend_tokenizer.to_str())  # the model's own stays as it is
    made.post_processor = BertProcessing(
        (theirs.sep_token, theirs.sep_token_id), (theirs.cls_token, theirs.cls_token_id)
    )
    made.enable_truncation(max_tokens)
    made.enable_padding(pad_id=theirs.pad_token_id, pad_token=theirs.pad_token)
    made.save(str(path))
    written = Tokenizer.from_file(str(path))
    words = ' '.join(tokenizer.vocab[-max_tokens:] * 2)  # more than are kept
    for sentence in (*sentences, '', ' ', 'Läsion, 3.5 cm - L/R!', '[CLS] [MASK] ##x', words):
        expected = tokenizer.encode(sentence, max_tokens)[0].tolist()
        found = written.encode(sentence).ids
        if found != expected:
            raise ExportError(f'{path.name} gives {found} for {sentence!r}, the model was trained with {expected}')
    special = {name: getattr(theirs, f'{name}_token') for name in ('cls', 'sep', 'pad', 'unk')}
    ids = {name: getattr(theirs, f'{name}_token_id') for name in special}
    return dict(
        tokenizer=path.name,
        fingerprint=tokenizer.fingerprint,
        vocabulary=len(tokenizer),
        special_tokens={name: dict(token=special[name], id=ids[name]) for name in special},
    )
