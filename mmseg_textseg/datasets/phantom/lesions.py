"""Liver lesions: their appearance is drawn, their size and place are measured from the mask as written."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np

from .anatomy import LEFT_SEGMENTS, SEGMENTS, SliceAnatomy
from .frame import fill
from .outlines import sample_outline

BOUNDARIES = ('clear', 'blurred')
ENHANCEMENTS = ('non-enhancing', 'ring enhancement', 'homogeneous enhancement')
MIN_PIXELS_ACROSS = 4

# type -> (weight, {enhancement: p}, {shape: p}, probability of a clear boundary, diameters in mm)
TYPES = {
    'cyst': (0.28, {'non-enhancing': 1.0}, {'round': 0.65, 'oval': 0.35}, 0.95, (6, 70)),
    'hemangioma': (
        0.20,
        {'homogeneous enhancement': 0.6, 'ring enhancement': 0.4},
        {'round': 0.35, 'oval': 0.2, 'lobulated': 0.45},
        0.85,
        (8, 75),
    ),
    'hepatocellular carcinoma': (
        0.20,
        {'homogeneous enhancement': 0.55, 'ring enhancement': 0.45},
        {'round': 0.3, 'irregular': 0.45, 'lobulated': 0.25},
        0.45,
        (10, 80),
    ),
    'metastasis': (
        0.22,
        {'non-enhancing': 0.5, 'ring enhancement': 0.5},
        {'round': 0.4, 'oval': 0.2, 'irregular': 0.4},
        0.25,
        (6, 50),
    ),
    'focal nodular hyperplasia': (
        0.10,
        {'homogeneous enhancement': 1.0},
        {'round': 0.3, 'oval': 0.2, 'lobulated': 0.5},
        0.7,
        (15, 70),
    ),
}


@dataclass
class Lesion:
    """One lesion of a slice.

    Attributes:
        type, shape, boundary, enhancement: what was drawn.
        mask: ``(size, size)`` bool, as written.
        diameter_mm: largest diameter, not rounded.
        area: pixels of the mask.
        center: centroid ``(x, y)`` as fractions of the picture.
        segment_share: share of the lesion's pixels in each liver segment, ``{name: share}``.
        height: centroid's ``y`` minus that of the liver, as a fraction of the picture; negative is upper.
        extent: largest diameter as a fraction of the picture's side.
    """

    type: str
    shape: str
    boundary: str
    enhancement: str
    mask: np.ndarray
    diameter_mm: float
    area: int
    center: tuple[float, float]
    segment_share: dict[str, float] = field(default_factory=dict)
    height: float = 0.0
    extent: float = 0.0

    @property
    def segment(self) -> str:
        """Segment that holds most of the lesion's pixels."""
        return max(self.segment_share, key=self.segment_share.get)

    @property
    def left_share(self) -> float:
        """Share of the lesion's pixels in the left lobe of the liver."""
        return sum(share for name, share in self.segment_share.items() if name in LEFT_SEGMENTS)

    @property
    def side(self) -> str:
        """``'left'`` or ``'right'`` lobe, from the patient's view."""
        return 'left' if self.segment in LEFT_SEGMENTS else 'right'

    @property
    def rounded_mm(self) -> float:
        """Diameter rounded to 0.5 mm, as the sentences and the tables give it."""
        return round(self.diameter_mm * 2) / 2


def largest_diameter(mask: np.ndarray) -> float:
    """Largest distance of two pixel centres of a bool mask ``(H, W)`` plus one pixel; 0 for an empty mask."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return 0.0
    hull = cv2.convexHull(np.concatenate(contours))[:, 0].astype(np.float64)
    return float(np.sqrt(((hull[:, None] - hull[None]) ** 2).sum(-1)).max() + 1)


def _pick(rng: np.random.Generator, odds: dict[str, float]) -> str:
    p = np.array(list(odds.values()))
    return str(rng.choice(list(odds), p=p / p.sum()))


def place_lesions(
    anatomy: SliceAnatomy,
    count: int,
    size: int,
    spacing: float,
    rng: np.random.Generator,
    easy: bool = False,
) -> list[Lesion] | None:
    """Samples and draws ``count`` lesions into ``anatomy.hu`` in place.

    Args:
        anatomy: slice whose canvas side is a multiple of ``size``.
        count: number of lesions.
        size: side of the masks and of the final picture, in pixels.
        spacing: pixel spacing of the final picture in mm.
        rng: source of everything sampled.
        easy: two plain sizes, dark or bright only.

    Returns:
        The lesions, disjoint and inside the liver; None if they did not fit.
    """
    liver_size = cv2.resize(anatomy.liver.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA) >= 0.5
    share = [_shrink(anatomy.segments == i + 1, size) for i in range(len(SEGMENTS))]
    middle = float(np.nonzero(liver_size)[0].mean())
    free, lesions = anatomy.liver.copy(), []
    diameters = _easy_diameters(count, size, rng) if easy else [None] * count
    # The largest first: they are the hardest to place.
    wanted = [_sample_look(rng, size, spacing, diameter) for diameter in diameters]
    for look in sorted(wanted, key=lambda item: -item['pixels']):
        mask = _place(anatomy, free, look, size, rng)
        if mask is None:
            return None
        rows, columns = np.nonzero(mask)
        counts = np.array([layer[mask].sum() for layer in share])
        if counts.sum() <= 0:
            return None
        lesions.append(
            Lesion(
                look['type'],
                look['shape'],
                look['boundary'],
                look['enhancement'],
                mask,
                largest_diameter(mask) * spacing,
                len(rows),
                ((columns.mean() + 0.5) / size, (rows.mean() + 0.5) / size),
                {name: float(c / counts.sum()) for name, c in zip(SEGMENTS, counts, strict=True)},
                float((rows.mean() - middle) / size),
                largest_diameter(mask) / size,
            )
        )
    order = rng.permutation(count)  # the number in a file name shall not give the size away
    return [lesions[i] for i in order]


def _shrink(mask: np.ndarray, size: int) -> np.ndarray:
    return cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)


def _easy_diameters(count: int, size: int, rng: np.random.Generator) -> list[float]:
    """Diameters in pixels: one or more small ones, and at most two plainly large ones."""
    large = int(rng.integers(1, 2 if count < 3 else 3)) if rng.random() < 0.85 else 0
    sizes = [rng.uniform(0.17, 0.25) if i < large else rng.uniform(0.08, 0.115) for i in range(count)]
    return [max(s * size, MIN_PIXELS_ACROSS + 2.0) for s in sizes]


def _sample_look(rng: np.random.Generator, size: int, spacing: float, pixels: float | None) -> dict:
    """Samples type, enhancement, shape, boundary and diameter that go together; ``pixels`` is given in easy mode."""
    easy = pixels is not None
    while True:
        kind = _pick(rng, {name: values[0] for name, values in TYPES.items()})
        _, enhancements, shapes, clear, (low, high) = TYPES[kind]
        enhancement = _pick(rng, enhancements)
        if easy and (enhancement == 'ring enhancement' or (kind != 'cyst' and enhancement == 'non-enhancing')):
            continue
        break
    if not easy:
        floor = (MIN_PIXELS_ACROSS + 1.5) * spacing
        low = max(low, floor)
        pixels = float(np.exp(rng.uniform(np.log(low), np.log(max(high, low + spacing))))) / spacing
        if pixels < 9 and enhancement == 'ring enhancement':
            pixels = rng.uniform(9, 14)  # a ring needs room to be seen
    shape = _pick(rng, shapes)
    if pixels < 12 and shape in ('irregular', 'lobulated'):
        shape = 'round'  # too few pixels for an outline
    boundary = 'clear' if rng.random() < clear or pixels < 7 else 'blurred'
    return dict(type=kind, enhancement=enhancement, shape=shape, boundary=boundary, pixels=pixels, easy=easy)


def _place(
    anatomy: SliceAnatomy, free: np.ndarray, look: dict, size: int, rng: np.random.Generator
) -> np.ndarray | None:
    """Finds room in ``free``, draws the lesion and takes the room; returns the mask at ``size``, or None."""
    resolution = anatomy.hu.shape[0]
    factor = resolution / size
    diameter = look['pixels'] * factor
    outline = sample_outline(look['shape'], rng, (0.66, 0.72) if look['easy'] else (0.50, 0.70)) * diameter
    room = cv2.distanceTransform(free.astype(np.uint8), cv2.DIST_L2, 3)
    extent = np.sort(outline.max(0) - outline.min(0)) / 2
    reach = max(0.7 * extent[0], 2.0)
    rows, columns = np.nonzero(room > reach)
    if len(rows) == 0:
        return None
    gap = max(2.0 * factor, 0.012 * resolution)
    for index in rng.integers(0, len(rows), 24):
        points = outline + np.array([columns[index], rows[index]]) + rng.uniform(-0.5, 0.5, 2)
        canvas = np.zeros(free.shape, np.uint8)
        fill(canvas, points, 1)
        inside = canvas.astype(bool)
        if not (free[inside]).all():
            continue
        mask = cv2.resize(canvas * 255, (size, size), interpolation=cv2.INTER_AREA) >= 128
        if not mask.any() or min(np.ptp(axis) + 1 for axis in np.nonzero(mask)) < MIN_PIXELS_ACROSS:
            continue
        _draw(anatomy, inside, look, diameter, rng)
        distance = cv2.distanceTransform(1 - canvas, cv2.DIST_L2, 3)
        free &= distance > gap
        return mask
    return None


def _draw(anatomy: SliceAnatomy, inside: np.ndarray, look: dict, diameter: float, rng: np.random.Generator) -> None:
    """Mixes one lesion into ``anatomy.hu`` in place, in a box round it."""
    margin = int(diameter * 0.4 + 8)
    rows, columns = (np.nonzero(inside.any(axis))[0] for axis in (1, 0))
    box = tuple(
        slice(max(int(n[0]) - margin, 0), min(int(n[-1]) + margin + 1, inside.shape[0])) for n in (rows, columns)
    )
    shape, px = inside[box], inside.shape[0] / 480
    sigma = max(0.085 * diameter, 1.9 * px) if look['boundary'] == 'blurred' else 0.6 * px
    alpha = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), sigma) * anatomy.liver[box]
    depth = cv2.distanceTransform(shape.astype(np.uint8), cv2.DIST_L2, 3)
    parenchyma, kind = anatomy.liver_hu, look['type']
    mottle = cv2.GaussianBlur(rng.standard_normal(shape.shape).astype(np.float32), (0, 0), max(diameter * 0.07, 1))
    mottle /= max(float(mottle.std()), 1e-6)
    if look['enhancement'] == 'homogeneous enhancement':
        gain, grain = {'hepatocellular carcinoma': ((46, 62), 7), 'hemangioma': ((60, 80), 0)}.get(kind, ((52, 68), 2))
        value = parenchyma + rng.uniform(*gain) + grain * mottle
        if kind == 'focal nodular hyperplasia':
            value = value - 55 * _scar(shape, depth, diameter, rng)
    elif look['enhancement'] == 'ring enhancement':
        core = parenchyma - rng.uniform(42, 60) + mottle * 5
        smooth = cv2.GaussianBlur(depth, (0, 0), max(0.035 * diameter, 0.5))
        width = np.clip(0.15 * diameter, 2.2 * px, 9 * px) * (1 + 0.12 * mottle)
        rim = np.clip((width - smooth) / (1.5 * px) + 0.5, 0, 1)
        value = core + rim * (parenchyma + rng.uniform(46, 66) - core)
    elif kind == 'cyst':
        value = rng.uniform(2, 16)
    else:
        value = parenchyma - rng.uniform(40, 55) + mottle * 5
    if look['easy']:
        value = value + (18 if look['enhancement'] == 'homogeneous enhancement' else -18)
    anatomy.hu[box] += alpha * (value - anatomy.hu[box])


def _scar(shape: np.ndarray, depth: np.ndarray, diameter: float, rng: np.random.Generator) -> np.ndarray:
    """Star-shaped central scar of a focal nodular hyperplasia, ``shape.shape`` float32 in [0, 1]."""
    canvas = np.zeros(shape.shape, np.uint8)
    y, x = np.unravel_index(int(np.argmax(depth)), shape.shape)
    arms = int(rng.integers(3, 6))
    turns = np.linspace(0, 2 * np.pi, arms, endpoint=False) + rng.uniform(-0.4, 0.4, arms)
    width = max(1, round(0.055 * diameter))
    for turn in turns:
        steps = np.linspace(0, rng.uniform(0.18, 0.30) * diameter, 3)
        bend = turn + np.array([0, 0.15, 0.3]) * rng.normal()
        line = [(round(x + s * np.cos(b)), round(y + s * np.sin(b))) for s, b in zip(steps, bend, strict=True)]
        for start, end in pairwise(line):
            cv2.line(canvas, start, end, 255, width, cv2.LINE_AA)
    return canvas.astype(np.float32) / 255
