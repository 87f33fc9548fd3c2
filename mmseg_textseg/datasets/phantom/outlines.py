"""Outlines of lesions, kept only if they measure as the shape they are drawn for."""

from __future__ import annotations

import cv2
import numpy as np

SHAPES = ('round', 'oval', 'irregular', 'lobulated')


def sample_outline(shape: str, rng: np.random.Generator, oval: tuple[float, float] = (0.50, 0.70)) -> np.ndarray:
    """Samples an outline round the origin with a largest diameter of one, and visibly of the shape asked for.

    Args:
        shape: one of ``SHAPES``.
        rng: source of the outline.
        oval: range of the axis ratio of an oval.

    Returns:
        ``(180, 2)`` points.
    """
    t = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    for _ in range(50):
        radius, squeeze = np.ones_like(t), 1.0
        if shape == 'oval':
            squeeze = rng.uniform(*oval)
        elif shape == 'lobulated':
            radius = _lobes(t, rng)
            squeeze = rng.uniform(0.85, 1.0)
        elif shape == 'irregular':
            for k in range(2, 8):
                radius = radius + rng.normal(0, 0.30) / k**0.8 * np.cos(k * t + rng.uniform(0, 6.3))
            radius = np.clip(radius, 0.35, None)
        if shape in ('round', 'oval'):
            for k in range(2, 6):
                radius = radius + rng.normal(0, 0.018) / (k - 1) * np.cos(k * t + rng.uniform(0, 6.3))
            squeeze *= rng.uniform(0.94, 1.0)
        points = radius[:, None] * np.stack([np.cos(t), squeeze * np.sin(t)], 1)
        if _shape_of(points) == shape:
            break
    else:
        raise RuntimeError(f'no {shape} outline in 50 tries; a bug of the phantom, please report it')
    turn = rng.uniform(0, 2 * np.pi)
    points = points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    points -= (points.max(0) + points.min(0)) / 2
    return points / np.sqrt(((points[::3, None] - points[None, ::3]) ** 2).sum(-1)).max()


def _lobes(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Radius of a union of discs round a middle one, at the angles ``t``."""
    count = int(rng.integers(4, 7))
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.uniform(-0.22, 0.22, count)
    radius = np.full_like(t, 0.55)
    for angle in angles:
        far, own = rng.uniform(0.55, 0.72), rng.uniform(0.30, 0.44) * (5.5 / count) ** 0.5
        across = own**2 - (far * np.sin(t - angle)) ** 2
        exit_at = far * np.cos(t - angle) + np.sqrt(np.clip(across, 0, None))
        radius = np.where((across > 0) & (np.cos(t - angle) > 0), np.maximum(radius, exit_at), radius)
    return radius


def _shape_of(points: np.ndarray) -> str | None:
    """Shape measured from an outline by solidity and axis ratio; None between the classes."""
    points = points.astype(np.float32)
    solidity = cv2.contourArea(points) / cv2.contourArea(cv2.convexHull(points))
    (_, axes, _) = cv2.minAreaRect(points)
    ratio = min(axes) / max(axes)
    if solidity >= 0.97:
        return 'round' if ratio >= 0.88 else 'oval' if 0.45 <= ratio <= 0.74 else None
    if 0.86 <= solidity <= 0.94 and ratio >= 0.75:
        return 'lobulated'
    return 'irregular' if 0.62 <= solidity <= 0.85 else None
