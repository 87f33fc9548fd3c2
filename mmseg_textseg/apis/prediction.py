"""What a model answers."""

from dataclasses import dataclass, replace

import numpy as np

from ..visualization import overlay


@dataclass(frozen=True, eq=False)
class Prediction:
    """Mask of one sentence on one picture.

    Attributes:
        mask: (H, W) bool, at the picture's own size.
        probability: (H, W) float32, of the foreground.
        text: the sentence; empty where a text-free model was asked without one.
        picture: (H, W, 3) uint8 RGB, as the model was shown it: of CT and MRI the slice after windowing.
        spacing: mm from row to row and from column to column, ``None`` if unknown.
    """

    mask: np.ndarray
    probability: np.ndarray
    text: str
    picture: np.ndarray
    spacing: tuple[float, float] | None = None

    @property
    def area_mm2(self) -> float | None:
        """Area of the mask, ``None`` where the spacing is unknown."""
        return None if self.spacing is None else float(self.mask.sum() * self.spacing[0] * self.spacing[1])

    def above(self, threshold: float) -> 'Prediction':
        """The same with another mask: where the probability is above a threshold."""
        return replace(self, mask=self.probability > threshold)

    def overlay(self, opacity: float = 0.35) -> np.ndarray:
        """The mask over the picture, (H, W, 3) uint8 RGB.

        Args:
            opacity: of the mask's area, 0 to 1; its outline is always drawn.
        """
        return overlay(self.picture, self.mask, opacity=opacity)
