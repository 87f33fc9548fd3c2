"""Masks to evaluate: 50 pairs with every kind of emptiness, and how the evaluator hands them on."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_textseg.evaluation import TextSegMetric


def _mask(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A few rectangles, some over the edge of the picture, with frayed outlines."""
    mask = np.zeros(shape, np.int64)
    for _ in range(rng.integers(1, 4)):
        y, x = rng.integers(-4, shape[0] - 2), rng.integers(-4, shape[1] - 2)
        mask[max(y, 0) : y + rng.integers(4, 16), max(x, 0) : x + rng.integers(4, 16)] = 1
    mask[rng.random(shape) < 0.02] ^= 1
    return mask


@pytest.fixture(scope='session')
def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """50 pairs (prediction, truth) of several sizes: 8 predictions, 7 truths and 4 of both are empty, 2 truths full."""
    rng = np.random.default_rng(2024)
    made = []
    for i in range(50):
        shape = tuple(map(int, rng.integers(18, 41, 2)))
        pred, truth = _mask(rng, shape), _mask(rng, shape)
        if i % 3:  # mostly near one another, as of a model that has learnt
            pred = np.where(rng.random(shape) < 0.06, 1 - truth, truth)
        pred = pred * (i not in (0, 7, 13, 21, 28, 35, 41, 49))
        truth = truth * (i not in (3, 9, 15, 22, 31, 38, 45))
        if i in (5, 17, 29, 47):
            pred, truth = pred * 0, truth * 0
        made.append((pred, truth | (i in (11, 33))))
    return made


@pytest.fixture(scope='session')
def pairs_with_ignored(pairs) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same, a tenth of each truth's pixels without a label (255); of one all."""
    rng = np.random.default_rng(7)
    made = []
    for i, (pred, truth) in enumerate(pairs):
        unknown = np.ones(truth.shape, bool) if i == 20 else rng.random(truth.shape) < 0.1
        made.append((pred, np.where(unknown, 255, truth)))
    return made


@pytest.fixture
def make_sample():
    """Function (prediction, truth, name, logits, metainfo) -> a sample as the evaluator hands it on."""

    def make(pred, truth, name='a', text='the lesion', logits=None, **metainfo) -> dict:
        path = f'/data/images/{name}.png'
        data = SegDataSample(metainfo={'img_path': path, 'sample_id': name, 'text': text, **metainfo})
        data.pred_sem_seg = PixelData(data=torch.as_tensor(pred)[None])
        if truth is not None:
            data.gt_sem_seg = PixelData(data=torch.as_tensor(truth)[None])
        if logits is not None:
            data.seg_logits = PixelData(data=torch.as_tensor(logits, dtype=torch.float32))
        return data.to_dict()

    return make


@pytest.fixture
def evaluate(make_sample):
    """Function (pairs or samples, options of the metric) -> its flat results."""

    def run(items, batch=3, **options) -> dict[str, float]:
        samples = [x if isinstance(x, dict) else make_sample(*x, name=str(i)) for i, x in enumerate(items)]
        metric = TextSegMetric(**options)
        for start in range(0, len(samples), batch):
            metric.process({}, samples[start : start + batch])
        return metric.evaluate(len(samples))

    return run
