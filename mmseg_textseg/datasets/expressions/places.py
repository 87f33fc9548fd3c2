"""Where a lesion lies: in the picture, in an organ, in a labelled part of it."""

from collections.abc import Mapping, Sequence

import numpy as np

from .lesions import Lesion

INSIDE_SHARE = 0.5  # of a lesion's pixels, from which it counts as inside the organ


def place_in_picture(lesion: Lesion) -> tuple[float, float]:
    """Centroid as a share of the picture's width and height, (x, y) in [0, 1]; 0, 0 is the upper left corner."""
    height, width = lesion.labels.shape
    return (lesion.center[0] + 0.5) / width, (lesion.center[1] + 0.5) / height


def place_in_organ(lesion: Lesion, organ: np.ndarray) -> tuple[float, float]:
    """Centroid as a share of the bounding box of an organ, (x, y).

    The box of all pixels of the organ, in the picture's axes: 0.5 is the middle of the organ as it lies in this
    picture, which is no border of lobes.

    Args:
        lesion: measured.
        organ: (H, W) bool, without holes where the lesions are, or with.

    Returns:
        ``nan`` for both where less than half of the lesion is inside the box of the organ's pixels, or there are none.
    """
    rows, columns = (np.flatnonzero(organ.any(axis)) for axis in (1, 0))
    if not len(rows):
        return np.nan, np.nan
    (top, bottom), (left, right) = (rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1)
    if lesion.mask[top:bottom, left:right].sum() < INSIDE_SHARE * lesion.area:
        return np.nan, np.nan
    x, y = lesion.center
    return float((x + 0.5 - left) / (right - left)), float((y + 0.5 - top) / (bottom - top))


def label_shares(lesion: Lesion, labels: np.ndarray, names: Mapping[int, str]) -> dict[str, float]:
    """Share of a lesion's pixels in each named part of a label map (H, W), e.g. Couinaud's segments.

    Pixels of the background count for no part. Empty where they are more than half of the lesion.
    """
    values, counts = np.unique(labels[lesion.mask], return_counts=True)
    found = {names[int(v)]: int(c) for v, c in zip(values, counts, strict=True) if int(v) in names}
    inside = sum(found.values())
    if inside < INSIDE_SHARE * lesion.area:
        return {}
    return {name: count / inside for name, count in found.items()}


def lobe_shares(shares: Mapping[str, float], lobes: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Shares of the parts of :func:`label_shares` -> shares of the lobes they belong to.

    Parts of no lobe (the caudate, for many readers) count for none: the shares then sum to less than 1.
    """
    return {lobe: sum(shares.get(part, 0.0) for part in parts) for lobe, parts in lobes.items()}
