"""Drawing of single organs in Hounsfield units; see :mod:`.frame` for the coordinates."""

from __future__ import annotations

import cv2
import numpy as np

from .frame import Case, Frame, fill, parse_points, smooth_closed

BONE_HU, MARROW_HU, GAS_HU, LUNG_HU, BILE_HU = 420.0, 170.0, -900.0, -820.0, 8.0
_SPLEEN = '.50,-.02 .72,-.12 .90,.08 .88,.36 .70,.62 .52,.68 .56,.48 .62,.30 .57,.12'


def draw_table(hu: np.ndarray, frame: Frame) -> None:
    """The scanner's table: a faint trough under the back."""
    x = np.linspace(-0.95, 0.95, 40)
    y = frame.center[1] + frame.body[1] * (1.09 - 0.16 * x**2)
    points = np.round(np.stack([frame.center[0] + x * frame.body[0], y], 1) * 16).astype(np.int32)
    cv2.polylines(hu, [points], False, -45, max(1, round(frame.resolution / 200)), cv2.LINE_8, 4)


def draw_wall(hu: np.ndarray, frame: Frame, case: Case, rng: np.random.Generator) -> None:
    """Abdominal wall: a muscle ring with the ribs in it, and the muscles of the back."""
    middle = frame.cavity + 0.035 * frame.unit
    fill(hu, frame.ring(frame.cavity + 0.062 * frame.unit), case.hu['muscle'])
    fill(hu, frame.ring(middle), case.hu['fat'] * 0.3)
    fill(hu, frame.ring(frame.cavity + 0.022 * frame.unit), case.hu['muscle'])
    count = int(rng.integers(13, 17))
    for angle in np.linspace(0, 360, count, endpoint=False) + rng.uniform(0, 360 / count):
        angle += rng.uniform(-5, 5)
        if 60 < angle % 360 < 120 or 250 < angle % 360 < 290:  # the spine, and the front without ribs
            continue
        u, v = frame.circle[int(angle) % 360] * middle / frame.cavity
        tangent = np.roll(frame.circle, -1, 0)[int(angle) % 360] - frame.circle[int(angle) % 360]
        tilt = np.rad2deg(np.arctan2(tangent[1] * frame.cavity[1], tangent[0] * frame.cavity[0]))
        length, thick = rng.uniform(0.045, 0.095), rng.uniform(0.024, 0.030)
        fill(hu, frame.ellipse(u, v, length, thick, tilt), BONE_HU)
        fill(hu, frame.ellipse(u, v, length * 0.75, thick * 0.45, tilt), MARROW_HU)


def draw_lungs(hu: np.ndarray, frame: Frame, cavity: np.ndarray, level: float) -> None:
    """Lung bases behind the liver and the spleen, seen near the dome only."""
    inner = frame.at(frame.circle * (0.72 + 0.7 * level) + np.array([0.0, -0.12]))
    lungs = cavity & ~frame.mask(inner)
    front = int(frame.at((0, 0.1))[1])
    lungs[:front] = False
    hu[lungs] = LUNG_HU


def draw_spine(hu: np.ndarray, frame: Frame, case: Case, rng: np.random.Generator) -> None:
    """Vertebra with canal and processes, and the muscles beside it."""
    for side in (-1, 1):
        fill(hu, frame.ellipse(side * 0.21, 0.92, 0.17, 0.105, side * 12), case.hu['muscle'])
        fill(hu, frame.ellipse(side * 0.115, 0.42, 0.045, 0.12, side * -14), case.hu['muscle'])  # crus
        fill(hu, frame.ellipse(side * 0.17, 0.80, 0.12, 0.028, side * -24), BONE_HU * 0.8)
    fill(hu, frame.ellipse(0, 1.02, 0.022, 0.10), BONE_HU * 0.8)
    fill(hu, frame.ellipse(0, 0.82, 0.095, 0.085), BONE_HU)
    fill(hu, frame.ellipse(0, 0.81, 0.062, 0.055), 25)
    fill(hu, frame.ellipse(0, 0.60, 0.178, 0.142), BONE_HU)
    fill(hu, frame.ellipse(0, 0.60, 0.162, 0.126), MARROW_HU + rng.uniform(-15, 25))


def draw_left_organs(
    hu: np.ndarray, frame: Frame, case: Case, level: float, rng: np.random.Generator, cavity: np.ndarray
) -> None:
    """Stomach with gas, spleen, pancreas and bowel: all that lies on the right of the picture."""
    for _ in range(int(2 + 7 * level)):  # loops of bowel, more of them further down
        u, v = rng.uniform(0.10, 0.78), rng.uniform(-0.62, 0.05)
        radius = rng.uniform(0.06, 0.11)
        loop = frame.ellipse(u, v, radius * rng.uniform(1, 1.5), radius, rng.uniform(0, 180))
        fill(hu, loop, 62)
        content = rng.choice([20.0, 35.0, GAS_HU], p=[0.4, 0.35, 0.25])
        fill(hu, (loop - loop.mean(0)) * 0.72 + loop.mean(0), content)
    if level > 0.3:
        spots = rng.normal(0, 0.022, (14, 2)) + np.linspace((-0.05, 0.02), (0.48, 0.06), 14)
        for (u, v), radius in zip(spots, rng.uniform(0.035, 0.065, 14), strict=True):
            fill(hu, frame.ellipse(u, v, radius, radius), 82)
    if level < 0.75:
        radius = rng.uniform(0.24, 0.33) * (1 - 0.45 * level)
        center = (0.47 + rng.uniform(-0.03, 0.03), -0.28 + rng.uniform(-0.04, 0.05))
        outline = frame.ellipse(*center, radius * 1.2, radius, rng.uniform(20, 50))
        outline = outline + rng.normal(0, 0.012 * frame.unit, (8, 2)).repeat(6, 0)
        outline = smooth_closed(outline[::6])
        inner = frame.mask((outline - outline.mean(0)) * 0.90 + outline.mean(0))
        fill(hu, outline, 72)
        hu[inner] = rng.uniform(12, 38)
        surface = frame.at((0, center[1] - radius * rng.uniform(-0.1, 0.9)))[1]
        inner[max(int(surface), 0) :] = False
        hu[inner] = GAS_HU
    if level < 0.85:
        spleen = parse_points(_SPLEEN) + rng.normal(0, 0.012, (9, 2))
        spleen = (spleen - (0.72, 0.3)) * (1.05 - 0.55 * level) + (0.72, 0.3)
        mask = frame.mask(smooth_closed(frame.at(spleen))) & cavity
        hu[mask] = case.hu['spleen']


def kidney_masks(frame: Frame, level: float) -> np.ndarray:
    """Both kidneys as one bool mask ``(R, R)``, empty near the dome."""
    mask = np.zeros((frame.resolution, frame.resolution), bool)
    for side, start, u, v in ((-1, 0.5, -0.42, 0.46), (1, 0.42, 0.46, 0.44)):
        size = min(1.0, max(0.0, (level - start) * 6 + 0.35)) if level > start else 0.0
        if size > 0:
            mask |= frame.mask(frame.ellipse(u, v, 0.135 * size, 0.165 * size, side * 25))
    return mask


def draw_kidneys(hu: np.ndarray, frame: Frame, case: Case, mask: np.ndarray) -> None:
    """Cortex, darker medulla and the fat of the sinus."""
    if not mask.any():
        return
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3) / frame.unit
    hu[cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)] = case.hu['fat']
    hu[mask] = case.hu['kidney']
    hu[depth > 0.035] = case.hu['kidney'] - 32
    hu[depth > 0.10] = -20


def draw_vessels(
    hu: np.ndarray, frame: Frame, case: Case, level: float, rng: np.random.Generator, liver: np.ndarray, easy: bool
) -> None:
    """Hepatic veins near the dome, portal branches below, small branches everywhere; mixed into ``hu`` in place."""
    layer = np.zeros(liver.shape, np.uint8)
    stems = []
    if level < case.mid_level + 0.05:
        stems += [((-0.20, 0.20), angle + rng.uniform(-8, 8), 0.045) for angle in case.planes]
    if level > case.mid_level - 0.15:
        stems += [((-0.16, 0.0), angle + rng.uniform(-10, 10), 0.042) for angle in (-95.0, -48.0, 12.0)]
    if easy:
        stems = stems[:2]
    for start, angle, width in stems:
        _branch(layer, frame, start, angle, width * rng.uniform(0.7, 1.0), rng, depth=0 if easy else 2)
    rows, columns = np.nonzero(liver)
    for index in rng.integers(0, len(rows), 4 if easy else int(rng.integers(24, 44))):  # cut branches
        point = (np.array([columns[index], rows[index]]) - frame.center) / frame.cavity
        _branch(layer, frame, tuple(point), rng.uniform(-180, 180), rng.uniform(0.006, 0.017), rng, depth=0, steps=2)
    blurred = cv2.GaussianBlur(layer, (0, 0), 0.8 * frame.resolution / 480)
    alpha = blurred.astype(np.float32) / 255 * (0.55 if easy else 1.0)
    hu[liver] += (alpha * (case.hu['vessel'] - case.hu['liver']))[liver]


def _branch(
    layer: np.ndarray,
    frame: Frame,
    start: tuple[float, float],
    angle: float,
    width: float,
    rng: np.random.Generator,
    depth: int,
    steps: int = 7,
) -> None:
    """One vessel of ``steps`` short pieces, thinner and thinner, that forks ``depth`` times."""
    point, thickness = np.array(start), width
    for step in range(steps):
        angle += rng.normal(0, 9)
        direction = np.array([np.sin(np.deg2rad(angle)), -np.cos(np.deg2rad(angle))])
        following = point + direction * rng.uniform(0.07, 0.11) * (1 if steps > 2 else 0.35)
        a, b = (tuple(round(float(c) * 16) for c in frame.at(p)) for p in (point, following))
        cv2.line(layer, a, b, 255, max(1, round(thickness * frame.unit)), cv2.LINE_AA, 4)
        if depth and step and rng.random() < 0.55:
            fork = angle + rng.choice([-1, 1]) * rng.uniform(30, 65)
            _branch(layer, frame, tuple(following), fork, thickness * 0.62, rng, depth - 1, steps=4)
        point, thickness = following, thickness * 0.85


def draw_gallbladder_and_fissure(
    hu: np.ndarray, frame: Frame, case: Case, level: float, rng: np.random.Generator, liver: np.ndarray
) -> np.ndarray:
    """Gallbladder and umbilical fissure of the lower slices; returns the liver without them."""
    canvas = np.zeros(liver.shape, np.uint8)
    if level > 0.35:
        angle = np.deg2rad(case.planes[2] + 4)
        direction = np.array([np.sin(angle), -np.cos(angle)])
        start = np.array([-0.16, 0.12])
        near, far = (frame.at(start + direction * d) for d in (0.42, 0.80))
        width = max(1, round(frame.unit * rng.uniform(0.012, 0.026)))
        cv2.line(canvas, tuple(int(c) for c in near), tuple(int(c) for c in far), 1, width)
        fissure = canvas.astype(bool) & liver
        hu[fissure] = case.hu['fat'] * 0.6
        liver = liver & ~fissure
    if level > 0.55 and rng.random() < 0.7:
        bladder = frame.ellipse(
            -0.24 + rng.uniform(-0.03, 0.05),
            -0.26,
            rng.uniform(0.06, 0.09),
            rng.uniform(0.09, 0.13),
            rng.uniform(-25, 5),
        )
        fill(hu, bladder, 60)
        fill(hu, (bladder - bladder.mean(0)) * 0.88 + bladder.mean(0), BILE_HU)
        liver = liver & ~frame.mask((bladder - bladder.mean(0)) * 1.12 + bladder.mean(0))
    return liver
