"""Distances between the outlines of two masks, and how well the outlines overlap.

Distances are MONAI's. The outline of a mask is its pixels that have a neighbour (of four) outside or lie at the edge of
the picture; the distance of an outline pixel is that to the nearest one of the other outline, from centre to centre.
"""

from types import ModuleType
from typing import NamedTuple

import cv2
import numpy as np


class Distances(NamedTuple):
    """How far two outlines are apart, in the unit of the spacing; NaN where a mask is empty.

    Attributes:
        hd95: 95 % Hausdorff distance: the larger one of the 95th percentiles (linearly interpolated) of the distances
            from the predicted outline to the true one and from the true one to the predicted.
        assd: average symmetric surface distance: the mean of all these distances, of both directions.
    """

    hd95: float
    assd: float


def load_monai() -> ModuleType:
    """MONAI's measures of surfaces; importing them takes seconds.

    Raises:
        ImportError: naming the extra that installs MONAI.
    """
    try:
        from monai.metrics import utils
    except ModuleNotFoundError as error:
        if error.name.split('.')[0] != 'monai':
            raise
        raise ImportError(
            "the protocol 'boundary' needs monai: pip install 'mmseg_textseg[eval]'", name='monai'
        ) from error
    return utils


def surface_distances(pred: np.ndarray, truth: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0)) -> Distances:
    """Distances between the outlines of two masks, each outline pixel weighing the same.

    Args:
        pred: (H, W) bool.
        truth: (H, W) bool.
        spacing: from row to row and from column to column.

    Raises:
        ImportError: without MONAI.
    """
    if not (pred.any() and truth.any()):
        return Distances(np.nan, np.nan)
    monai = load_monai()
    outlines = monai.get_mask_edges(pred, truth)
    there, back = (
        np.asarray(monai.get_surface_distance(*pair, spacing=spacing), np.float64)
        for pair in (outlines, outlines[::-1])
    )
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return Distances(float(hd95), float(np.concatenate([there, back]).mean()))


def boundary_iou(pred: np.ndarray, truth: np.ndarray, empty_score: float = 1.0, ratio: float = 0.02) -> float:
    """IoU of the bands along the inside of two outlines (Cheng et al., Boundary IoU, CVPR 2021).

    A mask's band is those of its pixels that lie within d pixels (counted as a king moves) of what is not the mask,
    where beyond the picture's edge nothing is; d is ``ratio`` of the picture's diagonal, rounded, at least 1. So large
    objects are judged by their outline, and what is thinner than 2 d as by the usual IoU.

    Args:
        pred: (H, W) bool.
        truth: (H, W) bool.
        empty_score: the value where both are empty; where only one is, it is 0.
        ratio: of d to the diagonal; the paper's.
    """
    width = max(1, round(ratio * float(np.hypot(*pred.shape))))
    a, b = inner_band(pred, width), inner_band(truth, width)
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else empty_score


def inner_band(mask: np.ndarray, width: int) -> np.ndarray:
    """Pixels of a mask (H, W) bool at most ``width`` from what is not the mask or from beyond the picture."""
    # One erosion by a large square is as many by 3 x 3.
    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    inside = cv2.erode(mask.astype(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return mask & (inside == 0)
