"""Sentences: equal ones once, features kept, padding to the longest, integers."""

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from tempfile import TemporaryDirectory

import numpy as np
import torch
from mmseg.structures import SegDataSample

from ..models import BertTextEncoder, TextFeatures
from ..models.text_encoders import TextCache, quantize_text_encoder
from ..models.text_encoding import encode_samples
from .group import Group

# Tokens of a sentence: the fewest and the most; the second is RefHL-Seg's own full expression. What others pad to.
LENGTHS, FIXED = (10, 33), 48
BERT_BASE: dict = {}
EPOCH = 8  # batches


def sentences(number: int, lengths: Sequence[int] = LENGTHS, seed: int = 0) -> list[SegDataSample]:
    """Data samples with random token ids, no two alike, as long as BERT's vocabulary allows any.

    Args:
        number: of samples.
        lengths: fewest and most tokens, the two special ones included.
        seed: of the draw.
    """
    rng, made = np.random.default_rng(seed), []
    for length in rng.integers(lengths[0], lengths[1] + 1, number):
        ids = torch.from_numpy(rng.integers(5, 1000, length))
        made.append(SegDataSample())
        made[-1].set_data(dict(text_ids=ids, text_mask=torch.ones(len(ids), dtype=torch.bool)))
    return made


def encoder(arch: dict, **options) -> BertTextEncoder:
    """BERT with random weights, in evaluation mode; what is computed costs the same."""
    return BertTextEncoder('bert-base-uncased', arch=arch, **options).eval()


def encode_all(text_encoder: BertTextEncoder, samples: list[SegDataSample], length: int | None = None) -> TextFeatures:
    """Every sentence of a batch by itself, equal or not, padded to the longest or to ``length``."""
    length = length or max(len(sample.text_ids) for sample in samples)
    ids = torch.zeros(len(samples), length, dtype=torch.int64)
    mask = torch.zeros(len(samples), length, dtype=torch.bool)
    for row, sample in enumerate(samples):
        ids[row, : len(sample.text_ids)] = sample.text_ids
        mask[row, : len(sample.text_ids)] = True
    return text_encoder(ids, mask)


def int8_cost(text_encoder: BertTextEncoder, samples: list[SegDataSample] | None = None) -> dict[str, float]:
    """What int8 changes: how far features move, and the size of the weights.

    Args:
        text_encoder: in float32 on the CPU; give a trained one, whose figures count. It stays as it is.
        samples: with ``text_ids`` of its vocabulary; default: random ones.

    Returns:
        ``tokens`` and ``pooled``, the relative difference ||int8 - float|| / ||float||; ``cosine``, the least of a
        sentence's pooled features; ``float_mb`` and ``int8_mb``, all weights.
    """
    samples = sentences(16) if samples is None else samples
    small = quantize_text_encoder(copy.deepcopy(text_encoder))
    with torch.no_grad():
        was = text_encoder.training
        theirs = encode_all(text_encoder.eval(), samples)
        text_encoder.train(was)
        ours = encode_all(small, samples)
    return dict(
        tokens=((ours.tokens - theirs.tokens).norm() / theirs.tokens.norm()).item(),
        pooled=((ours.pooled - theirs.pooled).norm() / theirs.pooled.norm()).item(),
        cosine=torch.cosine_similarity(ours.pooled, theirs.pooled).min().item(),
        float_mb=_megabytes(text_encoder),
        int8_mb=_megabytes(small),
    )


def _megabytes(module: torch.nn.Module) -> float:
    size = sum(value.nbytes for value in module.parameters())
    for layer in module.modules():
        if isinstance(getattr(layer, 'weight', None), Callable):  # a quantised layer's is a method
            size += layer.weight().numel() + (0 if layer.bias() is None else layer.bias().nbytes)
    return size / 1e6


def _step(encode: Callable[[], TextFeatures], text_encoder: BertTextEncoder) -> None:
    tokens = encode().tokens
    torch.autograd.grad(tokens, tuple(text_encoder.parameters()), torch.ones_like(tokens))


def _repeated(batch: int, distinct: int, arch: dict) -> Group:
    own = encoder(arch)
    samples = [sentence for _ in range(-(-batch // distinct)) for sentence in sentences(distinct)][:batch]
    return Group(
        f'text/repeated/{distinct}of{batch}',
        f'{batch} sentences, {distinct} of them different, through a trained BERT, forward and backward',
        {
            'every row': partial(_step, partial(encode_all, own, samples), own),
            'each sentence once': partial(_step, partial(encode_samples, own, samples), own),
        },
        'every row',
        dict(distinct=distinct, batch=batch),
    )


def _padding(batch: int, arch: dict) -> Group:
    own, samples = encoder(arch, frozen=True), sentences(batch)
    return Group(
        f'text/padding/{batch}',
        f'{batch} sentences of {LENGTHS[0]} to {LENGTHS[1]} tokens, forward',
        {
            f'to {FIXED}': partial(encode_all, own, samples, FIXED),
            'to the longest': partial(encode_all, own, samples),
        },
        f'to {FIXED}',
        dict(batch=batch),
    )


def _epoch(encode: Callable, batches: list) -> None:
    for samples in batches:
        encode(samples)


def _from_disk(own: BertTextEncoder, folder: str, batches: list) -> None:
    own.cache = TextCache(folder)  # as in the first epoch of another run: weights are hashed, files opened
    _epoch(partial(encode_samples, own), batches)


def _frozen(batch: int, arch: dict, folder: str) -> Group:
    plain, known = encoder(arch, frozen=True), encoder(arch, frozen=True)
    stored = encoder(arch, frozen=True, cache=folder)
    samples = sentences(batch * EPOCH)
    batches = [samples[start : start + batch] for start in range(0, len(samples), batch)]
    for kept in (known, stored):
        _epoch(partial(encode_samples, kept), batches)
    stored.cache.write()
    return Group(
        f'text/frozen/{batch}',
        f'an epoch of {EPOCH} batches of {batch} different sentences through a frozen BERT',
        {
            'encoded': partial(_epoch, partial(encode_all, plain), batches),
            'from memory': partial(_epoch, partial(encode_samples, known), batches),
            'from disk, first epoch': partial(_from_disk, stored, folder, batches),
        },
        'encoded',
        dict(batch=batch, sentences=len(samples)),
    )


def _int8(batch: int, arch: dict) -> Group:
    own = encoder(arch, frozen=True)
    small, samples = quantize_text_encoder(copy.deepcopy(own)), sentences(batch)
    return Group(
        f'text/int8/{batch}',
        f'{batch} sentences of {LENGTHS[0]} to {LENGTHS[1]} tokens, forward',
        {
            'float32': partial(encode_all, own, samples),
            'int8': torch.no_grad()(partial(encode_all, small, samples)),
        },
        'float32',
        dict(batch=batch),
    )


def groups(batches: Sequence[int] = (1, 16), arch: dict = BERT_BASE) -> Iterator[Group]:
    """Repeated sentences, padding, a frozen encoder's epoch, and int8, at each batch.

    Args:
        batches: sentences a batch; at 1 nothing is repeated or padded.
        arch: ``transformers.BertConfig`` arguments; default: BERT-base, 12 layers, 768 wide.
    """
    for batch in batches:
        if batch > 1:
            for distinct in sorted({1, max(1, batch // 4), batch}):
                yield _repeated(batch, distinct, arch)
            yield _padding(batch, arch)
        with TemporaryDirectory() as folder:
            yield _frozen(batch, arch, folder)
        yield _int8(batch, arch)
