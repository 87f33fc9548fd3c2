"""Agreement of two masks, from counts. tp, fp, fn, tn: pixels, whole numbers.

One rule for what is undefined. Both masks empty: ``empty_score``, for Dice, the foreground's IoU, precision and
recall. Only one of them empty: 0. No background in either mask: the background's IoU is 1.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .errors import EvaluationError


class Masks(NamedTuple):
    """Foreground of prediction and truth, (H, W) bool, False where the truth is ignored; number of the other pixels."""

    pred: np.ndarray
    truth: np.ndarray
    counted: int

    @property
    def counts(self) -> 'Counts':
        """Pixels of both."""
        # NumPy counts bools an order of magnitude faster than PyTorch sums them on a CPU.
        tp, predicted, true = map(np.count_nonzero, (self.pred & self.truth, self.pred, self.truth))
        return Counts(tp, predicted - tp, true - tp, self.counted - predicted - true + tp)


class Counts(NamedTuple):
    """Pixels of prediction and truth: both (tp), prediction only (fp), truth only (fn), neither (tn)."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def empty(self) -> bool:
        """Neither prediction nor truth has a pixel."""
        return self.tp + self.fp + self.fn == 0


def compare(pred: Tensor, truth: Tensor, ignore_index: int = 255) -> Masks:
    """Foreground of one image's prediction and truth.

    Args:
        pred: (H, W), non-zero is foreground.
        truth: (H, W), non-zero is foreground, ``ignore_index`` counts nowhere.
        ignore_index: label left out.

    Raises:
        EvaluationError: sizes differ.
    """
    if pred.shape != truth.shape:
        raise EvaluationError(f'prediction {tuple(pred.shape)} and truth {tuple(truth.shape)} differ in size')
    keep = (truth != ignore_index).numpy()
    return Masks((pred != 0).numpy() & keep, (truth != 0).numpy() & keep, np.count_nonzero(keep))


def count(pred: Tensor, truth: Tensor, ignore_index: int = 255) -> Counts:
    """Count the pixels of one image; arguments and errors as those of :func:`compare`."""
    return compare(pred, truth, ignore_index).counts


def dice(counts: Counts, empty_score: float = 1.0) -> float:
    """2 tp / (2 tp + fp + fn); ``empty_score`` where both masks are empty."""
    return empty_score if counts.empty else 2 * counts.tp / (2 * counts.tp + counts.fp + counts.fn)


def iou(counts: Counts, empty_score: float = 1.0) -> float:
    """tp / (tp + fp + fn), of the foreground; ``empty_score`` where both masks are empty."""
    return empty_score if counts.empty else counts.tp / (counts.tp + counts.fp + counts.fn)


def accuracy(counts: Counts, empty_score: float = 1.0) -> float:
    """(tp + tn) / (tp + fp + fn + tn), MPTPN eq. 12; ``empty_score`` where no pixel counts (all are ignored)."""
    total = sum(counts)
    return (counts.tp + counts.tn) / total if total else empty_score


def mean_iou(counts: Counts, empty_score: float = 1.0) -> float:
    """Mean IoU of foreground and background, MPTPN eq. 13.

    Where both masks are empty the foreground's is ``empty_score``; where neither has background, the background's is 1.
    """
    tp, fp, fn, tn = counts
    # Seen from the background, its pixels in both are the true positives, and the two kinds of mistake change places.
    return (iou(counts, empty_score) + iou(Counts(tn, fn, fp, tp))) / 2


def precision(counts: Counts, empty_score: float = 1.0) -> float:
    """tp / (tp + fp); ``empty_score`` where both masks are empty, 0 where only one is."""
    return empty_score if counts.empty else counts.tp / max(counts.tp + counts.fp, 1)


def recall(counts: Counts, empty_score: float = 1.0) -> float:
    """tp / (tp + fn); ``empty_score`` where both masks are empty, 0 where only one is."""
    return empty_score if counts.empty else counts.tp / max(counts.tp + counts.fn, 1)


def pool(counts: list[Counts]) -> Counts:
    """Counts of a whole set, each pixel of the set weighing the same."""
    return Counts(*(sum(column) for column in zip(*counts, strict=True))) if counts else Counts(0, 0, 0, 0)


def to_mask(data: Tensor) -> Tensor:
    """(1, H, W) or (H, W) label map -> (H, W) on the CPU."""
    return torch.as_tensor(data).squeeze(0).cpu()


def foreground_probability(seg_logits: Tensor) -> Tensor:
    """(C, H, W) of a prediction's ``seg_logits`` to (H, W): all classes but the first.

    Of one channel, MMSegmentation's post-processing has made a probability already.
    """
    logits = seg_logits.float()
    return logits[0] if len(logits) == 1 else logits.softmax(0)[1:].sum(0)


def predicted_mask(sample: Mapping, threshold: float | None = None) -> Tensor:
    """Foreground that a model predicts, (H, W) on the CPU, non-zero is foreground.

    Args:
        sample: as a segmentor gives it, with ``pred_sem_seg``, or ``seg_logits`` (C, H, W) if there is a threshold.
        threshold: foreground is where its probability is larger; None takes the model's own decision.

    Raises:
        EvaluationError: a threshold and no ``seg_logits``.
    """
    if threshold is None:
        return to_mask(sample['pred_sem_seg']['data'])
    if 'seg_logits' not in sample:
        raise EvaluationError(
            f'no seg_logits for {sample.get("img_path")}: threshold={threshold} needs them; leave it None'
        )
    return (foreground_probability(sample['seg_logits']['data']) > threshold).cpu()
