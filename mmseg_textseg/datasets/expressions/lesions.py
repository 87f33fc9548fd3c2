"""A mask -> its lesions, and what is measured of each.

Lengths are in pixels here; the spacing comes in where words and numbers are chosen (:mod:`.attributes`).
"""

from dataclasses import dataclass

import cv2
import numpy as np

try:
    from skimage.measure import label, regionprops
except ImportError as error:  # an extra of the package
    raise ImportError("make_expressions needs scikit-image: pip install 'mmseg_textseg[data]'") from error

FINE = 4  # an outline is measured on a grid that is finer by this
REACH = (3.0, 8.0)  # px inside and outside the outline that the profile of the boundary covers, by size of the lesion
GAP, RING = 2.0, (4.0, 20.0)  # px between lesion and its surroundings, and the width of these, by size of the lesion
ONE_STEP = 0.75  # of the range of the profile, which lies between its ends
MIN_RING, MIN_INSIDE = 40, 12  # px from which a mean is taken


@dataclass(frozen=True)
class Lesion:
    """One lesion of a picture, measured.

    ``nan`` where something cannot be measured: the shape of a few pixels, the contrast without surroundings.

    Attributes:
        labels, number: (H, W) int of :func:`label_mask`, and which of them it is.
        area: pixels.
        diameter: greatest Feret diameter in pixels, from edge to edge.
        center: centroid (x, y) in pixels.
        solidity: area over that of the convex hull, on a smoothed outline.
        axis_ratio: lesser over greater axis of the ellipse with the same second moments; eccentricity is
            ``sqrt(1 - axis_ratio ** 2)``.
        edge_width: pixels over which the brightness changes at the boundary.
        contrast: mean less that of the surroundings, in standard deviations of the surroundings.
        texture: standard deviation inside over that of the surroundings.
        is_cut: whether it touches the border of the picture.
        is_small: below the least area: no expression is made for it, but others must not fit it either.
    """

    labels: np.ndarray
    number: int
    area: int
    diameter: float
    center: tuple[float, float]
    solidity: float
    axis_ratio: float
    edge_width: float
    contrast: float
    texture: float
    is_cut: bool
    is_small: bool

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool; made anew each time, since hundreds of nuclei would fill the memory with masks."""
        return self.labels == self.number


def label_mask(mask: np.ndarray, instances: bool = False) -> np.ndarray:
    """Number the lesions of a mask.

    Args:
        mask: (H, W); bool or 0 and others, with ``instances`` integer ids with 0 as background.
        instances: each id is one lesion, also in several pieces; else each 8-connected component is.

    Returns:
        (H, W) int, 0 for the background, lesions from 1 in the order of rows, without gaps.
    """
    if not instances:
        return label(mask != 0, connectivity=2)
    ids, first, inverse = np.unique(mask, return_index=True, return_inverse=True)
    order = [i for i in np.argsort(first) if ids[i] != 0]
    numbers = np.zeros(len(ids), int)
    numbers[order] = np.arange(1, len(order) + 1)
    return numbers[inverse].reshape(mask.shape)


def measure_lesions(
    labels: np.ndarray,
    image: np.ndarray | None = None,
    organ: np.ndarray | None = None,
    min_area: int = 1,
    appearance: bool = True,
) -> list[Lesion]:
    """Measure all lesions of a picture.

    Args:
        labels: (H, W) int of :func:`label_mask`.
        image: (H, W) grey values; ``None`` measures no boundary and no contrast.
        organ: (H, W) bool; surroundings are taken inside it.
        min_area: pixels; lesions below are marked ``is_small``.
        appearance: whether to measure outline, boundary and contrast, which a text on the whole picture does not need.
    """
    everywhere = labels > 0
    lesions = []
    for region in regionprops(labels):
        top, left, bottom, right = region.bbox
        cut = top == 0 or left == 0 or bottom == labels.shape[0] or right == labels.shape[1]
        small = bool(region.area < min_area)
        diameter = float(region.feret_diameter_max)
        solidity = ratio = width = contrast = texture = np.nan
        if appearance and not small:
            solidity, ratio = measure_outline(region.image)
            if image is not None:
                mask = labels == region.label
                width = measure_edge_width(image, mask, everywhere & ~mask, diameter)
                contrast, texture = measure_contrast(image, mask, everywhere, diameter, organ)
        y, x = region.centroid
        measured = (int(region.area), diameter, (float(x), float(y)), solidity, ratio, width, contrast, texture)
        lesions.append(Lesion(labels, int(region.label), *measured, cut, small))
    return lesions


def measure_outline(image: np.ndarray) -> tuple[float, float]:
    """Solidity and axis ratio of a bool mask (h, w), cropped to the lesion.

    The mask is enlarged and smoothed first: the steps of a coarse grid are no lobes. ``nan`` for both where the
    smoothing leaves nothing.
    """
    padded = np.pad(image, 3).astype(np.float32)
    fine = cv2.resize(padded, None, fx=FINE, fy=FINE, interpolation=cv2.INTER_LINEAR)
    fine = cv2.GaussianBlur(fine, (0, 0), 0.7 * FINE) >= 0.5
    if not fine.any():
        return np.nan, np.nan
    region = regionprops(fine.astype(np.uint8))[0]
    return float(region.solidity), float(np.sqrt(1 - min(region.eccentricity, 1) ** 2))


def _box(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return tuple(
        slice(max(int(n[0]) - margin, 0), min(int(n[-1]) + margin + 1, size))
        for n, size in zip((rows, columns), mask.shape, strict=True)
    )


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Pixels from the outline, positive outside; a pixel beside the outline is half a pixel from it."""
    # A frame of background: distanceTransform knows nothing beyond the picture.
    inside = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return np.where(mask, 0.5 - inside, outside - 0.5)


def measure_edge_width(image: np.ndarray, mask: np.ndarray, others: np.ndarray, diameter: float) -> float:
    """Pixels over which the brightness changes at the boundary of a lesion.

    The mean brightness as a function of the distance from the outline, in steps of a pixel, has a range and a greatest
    slope near the outline (2.5 px at most, inside or out). Their ratio is the width: an edge blurred by a Gaussian of
    ``s`` px has ``sqrt(2 pi) s``.

    Args:
        image: (H, W) grey values.
        mask: (H, W) bool, one lesion.
        others: (H, W) bool, the other lesions, left out.
        diameter: of the lesion, pixels.

    Returns:
        The width; ``nan`` where the step is within four times its own standard error, or the brightness goes up and
        down (a rim), so that there is no one step.
    """
    reach = float(np.clip(diameter / 3, *REACH))
    box = _box(mask, int(reach) + 3)
    distance, values = _signed_distance(mask[box]), image[box].astype(np.float64)
    steps = np.arange(-np.floor(reach) - 0.5, np.floor(reach) + 1)
    means, errors, places = [], [], []
    for step in steps:
        here = (abs(distance - step) <= 0.5) & ~others[box]
        if here.sum() >= MIN_INSIDE:
            means.append(values[here].mean())
            errors.append(values[here].std() / np.sqrt(here.sum()))
            places.append(distance[here].mean())  # on a grid not the middle of the step
    if len(means) < 5:
        return np.nan
    means, errors, places = np.array(means), np.array(errors), np.array(places)
    near = np.abs((places[1:] + places[:-1]) / 2) <= 2.5
    slopes = np.abs(np.diff(means) / np.diff(places))[near]
    span = np.ptp(means)
    error = np.hypot(errors[means.argmax()], errors[means.argmin()])
    if not len(slopes) or slopes.max() == 0 or span <= 4 * error or abs(means[-1] - means[0]) < ONE_STEP * span:
        return np.nan
    return float(span / slopes.max())


def measure_contrast(
    image: np.ndarray, mask: np.ndarray, lesions: np.ndarray, diameter: float, organ: np.ndarray | None = None
) -> tuple[float, float]:
    """How much brighter a lesion is than its surroundings, and how uneven.

    The surroundings are a ring, 2 px away and a quarter of the diameter wide (4 to 20 px), inside the organ and
    outside all lesions. The inside is what is more than a pixel from the outline, if that leaves anything.

    Args:
        image: (H, W) grey values.
        mask: (H, W) bool, one lesion.
        lesions: (H, W) bool, all lesions.
        diameter: of the lesion, pixels.
        organ: (H, W) bool.

    Returns:
        Difference of the means over the standard deviation of the ring, and standard deviation of the inside over that
        of the ring; both ``nan`` where either has too few pixels.
    """
    wide = float(np.clip(diameter / 4, *RING))
    box = _box(mask, int(GAP + wide) + 2)
    distance, values = _signed_distance(mask[box]), image[box].astype(np.float64)
    ring = (distance > GAP) & (distance <= GAP + wide) & ~lesions[box]
    if organ is not None:
        ring &= organ[box]
    inside = distance < -1
    if inside.sum() < MIN_INSIDE:
        inside = distance < 0
    if ring.sum() < MIN_RING or inside.sum() < MIN_INSIDE:
        return np.nan, np.nan
    # A ring without any noise would make every speck bright: at least a step of 8 bits.
    spread = max(float(values[ring].std()), float(np.ptp(image)) / 255, 1e-6)
    return float((values[inside].mean() - values[ring].mean()) / spread), float(values[inside].std() / spread)
