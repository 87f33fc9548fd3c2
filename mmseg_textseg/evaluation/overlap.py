"""Overlap of two masks, from counts. tp, fp, fn: pixels, whole numbers."""

from typing import NamedTuple

import torch
from torch import Tensor


class Counts(NamedTuple):
    """Pixels of prediction and truth: both (tp), prediction only (fp), truth only (fn)."""

    tp: int
    fp: int
    fn: int

    @property
    def empty(self) -> bool:
        """Neither prediction nor truth has a pixel."""
        return self.tp + self.fp + self.fn == 0


def count(pred: Tensor, truth: Tensor, ignore_index: int = 255) -> Counts:
    """Count foreground pixels of one image.

    Args:
        pred: (H, W), non-zero is foreground.
        truth: (H, W), non-zero is foreground, ``ignore_index`` counts nowhere.
        ignore_index: label left out.

    Raises:
        ValueError: sizes differ.
    """
    if pred.shape != truth.shape:
        raise ValueError(f'prediction {tuple(pred.shape)} and truth {tuple(truth.shape)} differ in size')
    keep = truth != ignore_index
    p, t = (pred != 0) & keep, (truth != 0) & keep
    tp = int((p & t).sum())
    return Counts(tp, int(p.sum()) - tp, int(t.sum()) - tp)


def dice(counts: Counts, empty_score: float = 1.0) -> float:
    """2 tp / (2 tp + fp + fn); ``empty_score`` where both masks are empty."""
    return empty_score if counts.empty else 2 * counts.tp / (2 * counts.tp + counts.fp + counts.fn)


def iou(counts: Counts, empty_score: float = 1.0) -> float:
    """tp / (tp + fp + fn); ``empty_score`` where both masks are empty."""
    return empty_score if counts.empty else counts.tp / (counts.tp + counts.fp + counts.fn)


def pool(counts: list[Counts]) -> Counts:
    """Counts of a whole set, each pixel of the set weighing the same."""
    return Counts(*(sum(column) for column in zip(*counts, strict=True))) if counts else Counts(0, 0, 0)


def to_mask(data: Tensor) -> Tensor:
    """(1, H, W) or (H, W) label map -> (H, W) on the CPU."""
    return torch.as_tensor(data).squeeze(0).cpu()
