"""Coordinates of the body and drawing in them.

Organs are placed in *cavity coordinates* ``(u, v)``: the inside of the abdominal wall is the unit circle, ``u`` grows
to the right of the picture (the patient's left, as radiologists look at it) and ``v`` to the back.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Case:
    """What all slices of one made-up patient share.

    Attributes:
        spacing_480: pixel spacing in mm of a 480 px picture.
        center: centre of the body, as fractions of the picture ``(x, y)``.
        half_width: half the body's width, as a fraction of the picture.
        flatness: body height over body width.
        fat: thickness of the fat under the skin, as a fraction of ``half_width``.
        outline: waves of the outline, ``(harmonics, 2)``.
        liver_jitter: displacement of the liver's control points, ``(15, 2)``.
        planes: angles in degrees of the right hepatic vein, the middle hepatic vein and the umbilical fissure.
        mid_level: level that parts the upper from the lower segments.
        hu: mean HU of ``liver``, ``vessel``, ``spleen``, ``aorta``, ``kidney``, ``fat`` and ``muscle``.
    """

    spacing_480: float
    center: tuple[float, float]
    half_width: float
    flatness: float
    fat: float
    outline: np.ndarray
    liver_jitter: np.ndarray
    planes: tuple[float, float, float]
    mid_level: float
    hu: dict[str, float]


def smooth_closed(points: np.ndarray, samples: int = 12) -> np.ndarray:
    """Closed Catmull-Rom curve through ``points`` ``(n, 2)``; returns ``(n * samples, 2)``."""
    t = np.linspace(0, 1, samples, endpoint=False)[:, None]
    previous, following, after = np.roll(points, 1, 0), np.roll(points, -1, 0), np.roll(points, -2, 0)
    p0, p1, p2, p3 = (q[:, None, :] for q in (previous, points, following, after))
    curve = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return curve.reshape(-1, 2)


def fill(canvas: np.ndarray, points: np.ndarray, value: float) -> None:
    """Fills the polygon ``points`` ``(n, 2)`` (x, y in pixels) of ``canvas`` in place."""
    cv2.fillPoly(canvas, [np.round(points * 16).astype(np.int32)], value, shift=4)


def parse_points(text: str) -> np.ndarray:
    """``'u,v u,v ...'`` as ``(n, 2)``."""
    return np.array([[float(x) for x in pair.split(',')] for pair in text.split()])


class Frame:
    """Maps cavity coordinates to pixels, and draws in them."""

    def __init__(self, case: Case, resolution: int):
        self.resolution = resolution
        self.center = np.array(case.center) * resolution
        self.body = np.array([1.0, case.flatness]) * case.half_width * resolution
        wall = case.fat + 0.075
        self.cavity = self.body - wall * self.body[0] * np.array([1.0, 0.9])
        self.unit = self.cavity[0]
        angle = np.linspace(0, 2 * np.pi, 360, endpoint=False)
        waves = 1 + sum(c * np.cos(k * angle) + s * np.sin(k * angle) for k, (c, s) in enumerate(case.outline, start=2))
        # A squarish ellipse: trunks are flatter at the back than an ellipse.
        power = 2 / 2.35
        circle = np.stack([np.cos(angle), np.sin(angle)], 1)
        self.circle = np.sign(circle) * np.abs(circle) ** power * waves[:, None]
        self.circle[:, 1] = np.where(self.circle[:, 1] > 0, self.circle[:, 1] * 0.96, self.circle[:, 1])

    def at(self, uv: np.ndarray) -> np.ndarray:
        """Pixels of cavity coordinates ``(..., 2)``."""
        return self.center + np.asarray(uv) * self.cavity

    def ring(self, half_axes: np.ndarray) -> np.ndarray:
        """The body's outline, scaled to half axes in pixels, ``(360, 2)``."""
        return self.center + self.circle * half_axes

    def ellipse(self, u: float, v: float, ru: float, rv: float, degrees: float = 0.0) -> np.ndarray:
        """Outline ``(48, 2)`` in pixels; the centre in cavity coordinates, the radii in units of the half width."""
        t, a = np.linspace(0, 2 * np.pi, 48, endpoint=False), np.deg2rad(degrees)
        x, y = ru * np.cos(t), rv * np.sin(t)
        return self.at((u, v)) + self.unit * np.stack([x * np.cos(a) - y * np.sin(a), x * np.sin(a) + y * np.cos(a)], 1)

    def mask(self, points: np.ndarray) -> np.ndarray:
        """Bool mask ``(R, R)`` of a polygon in pixels."""
        canvas = np.zeros((self.resolution, self.resolution), np.uint8)
        fill(canvas, points, 1)
        return canvas.astype(bool)
