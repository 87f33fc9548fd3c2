"""Whether an exported model says what the segmentor says."""

from collections.abc import Sequence
from typing import NamedTuple

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import DATASETS
from mmseg.structures import SegDataSample
from scipy.special import expit
from torch import Tensor

from ..apis.config import innermost
from ..apis.preflight import find_missing
from ..evaluation.overlap import foreground_probability
from .graph import ExportError, Signature
from .programs import Run

TOLERANCE = 1e-4


class Sample(NamedTuple):
    """A picture, as the test pipeline makes it, and a sentence.

    Attributes:
        image: (3, H, W) uint8, BGR.
        ids: (T,) int64; None for a text-free model.
        text: the sentence, where there is one.
    """

    image: Tensor
    ids: Tensor | None
    text: str | None = None


def random_samples(
    signature: Signature, vocabulary: int | None, count: int, size: tuple[int, int] | None = None
) -> list[Sample]:
    """Blurred noise and ids at random, from three (one word) to as many as the tokenizer gives.

    Args:
        signature: of the exported model.
        vocabulary: number of ids; None for a text-free model.
        count: how many.
        size: height and width, where they are free.
    """
    draw = torch.Generator().manual_seed(0)
    samples = []
    for i in range(count):
        coarse = torch.rand(1, 3, 8, 8, generator=draw) * 255
        image = torch.nn.functional.interpolate(coarse, size=size or signature.size, mode='bicubic').clamp(0, 255)
        ids = None
        if signature.has_text:
            length = 3 + round((signature.max_tokens - 3) * i / max(1, count - 1))
            ids = torch.randint(vocabulary, (length,), generator=draw)
        samples.append(Sample(image[0].to(torch.uint8), ids))
    return samples


def real_samples(cfg: Config, signature: Signature, count: int) -> list[Sample]:
    """Items of the test set, evenly spaced; none where it is not there."""
    if find_missing(cfg, ('test',), weights=False):
        return []
    dataset = DATASETS.build(next(innermost(cfg.test_dataloader.dataset)))
    samples = []
    for index in np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int):
        item = dataset[int(index)]
        image, made = item['inputs'], item['data_samples']
        if tuple(image.shape[1:]) != signature.size:
            resized = mmcv.imresize(image.permute(1, 2, 0).numpy(), signature.size[::-1])
            image = torch.from_numpy(resized).permute(2, 0, 1)
        ids = made.text_ids[: signature.token_limit] if signature.has_text else None
        samples.append(Sample(image, ids, made.metainfo.get('text')))
    return samples


def feed(samples: Sequence[Sample]) -> dict[str, np.ndarray]:
    """What an exported model is fed with; behind the shorter sentences stand other sentences' ids, masked."""
    batch = dict(image=np.stack([sample.image.numpy()[::-1] for sample in samples]).astype(np.float32))
    if samples[0].ids is not None:
        longest = max((sample.ids for sample in samples), key=len).numpy()
        ids, mask = np.tile(longest, (len(samples), 1)), np.zeros((len(samples), len(longest)), dtype=bool)
        for row, sample in enumerate(samples):
            ids[row, : len(sample.ids)], mask[row, : len(sample.ids)] = sample.ids.numpy(), True
        batch |= dict(token_ids=ids, token_mask=mask)
    return batch


@torch.no_grad()
def predict(model: EncoderDecoder, sample: Sample) -> np.ndarray:
    """Probability (H, W) of one sample by the segmentor's own way, from preprocessing to prediction."""
    shape = tuple(sample.image.shape[1:])
    made = SegDataSample(metainfo=dict(ori_shape=shape, img_shape=shape, pad_shape=shape))
    if sample.ids is not None:
        made.set_data(dict(text_ids=sample.ids, text_mask=torch.ones_like(sample.ids, dtype=torch.bool)))
    result = model.test_step(dict(inputs=[sample.image], data_samples=[made]))[0]
    return foreground_probability(result.seg_logits.data).numpy()


def compare(
    run: Run, model: EncoderDecoder, groups: dict[str, Sequence[Sample]], tolerance: float = TOLERANCE
) -> list[dict]:
    """Largest difference of the exported model, given a group as one batch and each sample alone, from the segmentor.

    Args:
        run: the exported model.
        model: what it was made of, in evaluation mode.
        groups: samples under a name; empty groups are passed over.
        tolerance: largest difference of a probability that is allowed.

    Returns:
        ``samples``, ``batch``, ``tokens``, ``max_difference`` of each run.

    Raises:
        ExportError: a probability differs by more than ``tolerance``.
    """
    found = []
    for name, samples in groups.items():
        expected = [predict(model, sample) for sample in samples]
        batches = [list(range(len(samples))), *([i] for i in range(len(samples)) if len(samples) > 1)]
        for rows in batches if samples else ():
            batch = feed([samples[i] for i in rows])
            made = expit(run(batch))
            difference = max(float(np.abs(made[k] - expected[i]).max()) for k, i in enumerate(rows))
            tokens = batch['token_ids'].shape[1] if 'token_ids' in batch else None
            found.append(dict(samples=name, batch=len(rows), tokens=tokens, max_difference=difference))
    worst = max(found, key=lambda case: case['max_difference'])
    if not worst['max_difference'] <= tolerance:
        raise ExportError(
            f'the exported model differs from the segmentor by {worst["max_difference"]:.2g} in probability '
            f'({worst["samples"]}, batch {worst["batch"]}, tokens {worst["tokens"]}), and {tolerance:g} is allowed; '
            'nothing was written. If the model is very sensitive to rounding, --tolerance allows more'
        )
    return found
