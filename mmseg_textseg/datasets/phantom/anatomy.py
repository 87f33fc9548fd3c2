"""Made-up axial CT slices of the upper abdomen: the anatomy without the lesions.

Everything is drawn in Hounsfield units (HU) on a square canvas and windowed to 8 bits at the very end; see
:mod:`.frame` for the coordinates. ``level`` runs from 0 (dome of the liver) to 1 (lower tip).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from . import organs
from .frame import Case, Frame, fill, parse_points, smooth_closed

SEGMENTS = ('I', 'II', 'III', 'IV', 'V', 'VI', 'VII', 'VIII')
LEFT_SEGMENTS = ('I', 'II', 'III', 'IV')  # the caudate (I) is counted as left here
FIELD_OF_VIEW_PX = 480  # pixel spacings are sampled at this size and scaled to any other

# Outlines at the dome and at the lower tip, interpolated by level; the first point is the tip of the left lobe.
_LIVER_TOP = (
    '.58,-.44 .30,-.74 -.20,-.86 -.60,-.73 -.87,-.38 -.95,.00 -.88,.36 -.66,.62 -.44,.58 -.28,.38 -.16,.22 .02,.12 '
    '.10,-.06 .30,-.16 .50,-.26'
)
_LIVER_LOW = (
    '.12,-.62 -.04,-.76 -.30,-.82 -.62,-.68 -.87,-.36 -.95,.02 -.90,.32 -.76,.52 -.62,.44 -.46,.24 -.34,.06 -.22,-.04 '
    '-.16,-.18 -.04,-.34 .06,-.46'
)


@dataclass
class SliceAnatomy:
    """One slice without lesions.

    Attributes:
        hu: ``(R, R)`` float32, Hounsfield units before noise.
        liver: ``(R, R)`` bool.
        segments: ``(R, R)`` uint8, 0 outside the liver, else 1 + index into ``SEGMENTS``.
        body: ``(R, R)`` bool, inside of the skin.
        liver_hu: mean HU of the parenchyma.
    """

    hu: np.ndarray
    liver: np.ndarray
    segments: np.ndarray
    body: np.ndarray
    liver_hu: float


def sample_case(rng: np.random.Generator, easy: bool = False) -> Case:
    """Samples the anatomy shared by the slices of one case."""
    enhanced = easy or rng.random() < 0.8
    liver = rng.uniform(98, 112) if enhanced else rng.uniform(82, 92)
    hu = dict(
        liver=liver,
        vessel=liver + (rng.uniform(34, 52) if enhanced else -rng.uniform(18, 26)),
        spleen=liver + rng.uniform(2, 18),
        aorta=rng.uniform(150, 185) if enhanced else rng.uniform(55, 70),
        kidney=rng.uniform(160, 200) if enhanced else rng.uniform(90, 105),
        fat=rng.uniform(-112, -92),
        muscle=rng.uniform(50, 64),
    )
    harmonics = np.arange(2, 7)[:, None]
    return Case(
        spacing_480=round(float(rng.uniform(0.70, 0.90)), 3),
        center=(0.5 + rng.uniform(-0.015, 0.015), 0.5 + rng.uniform(-0.02, 0.03)),
        half_width=rng.uniform(0.425, 0.47),
        flatness=rng.uniform(0.72, 0.84),
        fat=rng.uniform(0.04, 0.12) if not easy else rng.uniform(0.03, 0.07),
        outline=rng.normal(0, 0.018, (5, 2)) / harmonics,
        liver_jitter=rng.normal(0, 0.022, (15, 2)),
        planes=(rng.uniform(-76, -60), rng.uniform(-14, -4), rng.uniform(17, 27)),
        mid_level=rng.uniform(0.42, 0.55),
        hu=hu,
    )


def draw_slice(case: Case, level: float, resolution: int, rng: np.random.Generator, easy: bool = False) -> SliceAnatomy:
    """Draws one slice without lesions and without noise.

    Args:
        case: the patient.
        level: 0 (dome of the liver) to 1 (lower tip).
        resolution: side ``R`` of the canvas in pixels.
        rng: source of what changes from slice to slice.
        easy: a larger left lobe, fewer vessels and no gallbladder.

    Returns:
        The anatomy on an ``(R, R)`` canvas.
    """
    frame = Frame(case, resolution)
    hu = np.full((resolution, resolution), -1000.0, np.float32)
    skin, px = frame.ring(frame.body), resolution / 480
    if not easy:
        organs.draw_table(hu, frame)
    fill(hu, skin, 10)
    fill(hu, frame.ring(frame.body - 2.2 * px), case.hu['fat'])
    organs.draw_wall(hu, frame, case, rng)
    cavity = frame.mask(frame.ring(frame.cavity))
    hu[cavity] = case.hu['fat']
    if level < 0.3 and not easy:
        organs.draw_lungs(hu, frame, cavity, level)
    organs.draw_spine(hu, frame, case, rng)
    organs.draw_left_organs(hu, frame, case, level, rng, cavity)

    shape = (1 - level) * parse_points(_LIVER_TOP) + level * parse_points(_LIVER_LOW)
    shape = shape + case.liver_jitter + rng.normal(0, 0.008, shape.shape)
    if easy:  # a left lobe deep enough to hold a large lesion
        shape[[0, 12, 13, 14]] += np.array([[0.05, 0.02], [0.02, 0.06], [0.06, 0.16], [0.08, 0.14]])
    inside = frame.mask(frame.ring(frame.cavity * 0.985))
    liver = frame.mask(smooth_closed(frame.at(shape))) & inside
    kidneys, vena_cava = organs.kidney_masks(frame, level), frame.mask(frame.ellipse(-0.20, 0.24, 0.085, 0.07, 15))
    liver &= ~kidneys & ~vena_cava
    segments = _segment_map(case, frame, level, liver)
    hu[liver] = case.hu['liver']
    organs.draw_vessels(hu, frame, case, level, rng, liver, easy)
    organs.draw_kidneys(hu, frame, case, kidneys)
    hu[vena_cava] = case.hu['aorta'] - 0.25 * (case.hu['aorta'] - case.hu['liver'])
    fill(hu, frame.ellipse(0.07, 0.34, 0.075, 0.075), case.hu['aorta'])
    if not easy:
        liver = organs.draw_gallbladder_and_fissure(hu, frame, case, level, rng, liver)
    components, count = ndimage.label(liver)
    if count > 1:
        sizes = np.bincount(components.ravel())[1:]
        liver = components == 1 + int(np.argmax(sizes))
    return SliceAnatomy(hu, liver, np.where(liver, segments, 0).astype(np.uint8), frame.mask(skin), case.hu['liver'])


def _segment_map(case: Case, frame: Frame, level: float, liver: np.ndarray) -> np.ndarray:
    """Couinaud-like segments: sectors round the vena cava, upper or lower by level, the caudate in front of it."""
    y, x = np.mgrid[: frame.resolution, : frame.resolution].astype(np.float32)
    cava = frame.at((-0.20, 0.20))
    angle = np.rad2deg(np.arctan2(x - cava[0], cava[1] - y))  # 0 straight to the front, negative to patient's right
    right_vein, middle_vein, fissure = case.planes
    angle = np.where(angle > 125, -180.0, angle)
    upper = level < case.mid_level
    names = ['VII', 'VIII', 'IV', 'II'] if upper else ['VI', 'V', 'IV', 'III']
    numbers = np.array([SEGMENTS.index(n) + 1 for n in names], np.uint8)
    segments = numbers[np.digitize(angle, [right_vein, middle_vein, fissure])]
    caudate = frame.at((-0.07, 0.06))
    segments[(x - caudate[0]) ** 2 + (y - caudate[1]) ** 2 < (0.13 * frame.unit) ** 2] = SEGMENTS.index('I') + 1
    return np.where(liver, segments, 0).astype(np.uint8)


def finish(
    hu: np.ndarray, body: np.ndarray, rng: np.random.Generator, noise_hu: float, window: tuple[float, float], size: int
) -> np.ndarray:
    """Scanner blur, noise, down-sampling and windowing.

    Args:
        hu: ``(R, R)`` float32 HU.
        body: ``(R, R)`` bool; the streaks are confined to it.
        rng: source of the noise.
        noise_hu: standard deviation of the noise in HU at the final size.
        window: level and width in HU.
        size: side of the picture, a divisor of ``R``.

    Returns:
        ``(size, size)`` uint8.
    """
    resolution = hu.shape[0]
    hu = cv2.GaussianBlur(hu, (0, 0), 0.75 * max(resolution / 480, 0.8))
    if resolution != size:
        hu = cv2.resize(hu, (size, size), interpolation=cv2.INTER_AREA)
        body = cv2.resize(body.astype(np.uint8), (size, size), interpolation=cv2.INTER_AREA).astype(bool)
    white = rng.standard_normal((size, size), dtype=np.float32)
    # Filtered back-projection leaves mid-frequency grain: little at zero frequency, little at the highest ones.
    scale = max(size / 480, 0.5)
    grain = cv2.GaussianBlur(white, (0, 0), 0.9 * scale) - 0.75 * cv2.GaussianBlur(white, (0, 0), 2.6 * scale)
    streaks = cv2.GaussianBlur(rng.standard_normal((size, size), dtype=np.float32), (0, 0), 30 * scale, sigmaY=0.9)
    slow = cv2.resize(rng.standard_normal((12, 12)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    noise = grain / grain.std() + 0.35 * streaks / streaks.std() + 0.22 * slow
    hu = hu + noise_hu * noise * body
    center, width = window
    return np.clip((hu - center + width / 2) / width * 255 + 0.5, 0, 255).astype(np.uint8)
