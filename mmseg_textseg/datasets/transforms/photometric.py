"""Changes of colour and sharpness, which leave every pixel in its place."""

import math

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS


def _turn_hue(image: np.ndarray, turn: float) -> np.ndarray:
    """In 8-bit HSV. Not mmcv's, which under NumPy 2 turns in one direction only (2.1.0, OneDL's up to 2.3.3)."""
    hue, saturation, value = cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2HSV_FULL))
    hue = hue + np.uint8(round(turn * 256) % 256)  # of 8 bits: it wraps round
    return cv2.cvtColor(cv2.merge([hue, saturation, value]), cv2.COLOR_HSV2BGR_FULL)


# mmcv says BGR of contrast only, but saturation takes BGR as well, and the greys are weighted for it.
_ADJUST = dict(
    brightness=mmcv.adjust_brightness,
    contrast=mmcv.adjust_contrast,
    saturation=mmcv.adjust_color,
    hue=_turn_hue,
)


@TRANSFORMS.register_module()
class ColorJitter(BaseTransform):
    """Brightness, contrast, saturation and hue by chance, in an order by chance.

    Torchvision's ``ColorJitter`` on BGR images, by mmcv's adjustments but for the hue: brightness blends with black,
    contrast with the mean grey, saturation with each pixel's grey; hue turns the colour circle. Greys are ITU-R 601. An
    adjustment of strength 0 is left out. Hue is computed in 8-bit HSV, as in torchvision on Pillow images, so strong
    colours may come out up to about 13 of 255 levels off.

    Required Keys:

    - img (np.uint8, H x W x 3, BGR)

    Modified Keys:

    - img (a new array)

    Args:
        brightness: the factor is uniform in [max(0, 1 - brightness), 1 + brightness].
        contrast: likewise.
        saturation: likewise.
        hue: the turn is uniform in [-hue, hue], in parts of the colour circle; at most 0.5.

    Raises:
        ValueError: for a strength out of range, or an image of another type or shape.
    """

    def __init__(
        self, brightness: float = 0.4, contrast: float = 0.4, saturation: float = 0.4, hue: float = 0.1
    ) -> None:
        self.strengths = dict(brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
        for name, strength in self.strengths.items():
            most = 0.5 if name == 'hue' else math.inf
            if not 0 <= strength <= most:
                raise ValueError(f'{name} is {strength}; expected 0 to {most}')

    @cache_randomness
    def _draw(self) -> dict[str, float]:
        """Amounts of the adjustments, in the order in which to apply them."""
        # The global generator is the one that mmcv's transforms share and MMEngine seeds.
        amounts = {}
        for name in np.random.permutation(list(self.strengths)):  # noqa: NPY002
            strength = self.strengths[name]
            low, high = (-strength, strength) if name == 'hue' else (max(0, 1 - strength), 1 + strength)
            if strength:  # even no turn of the hue changes colours, by way of 8-bit HSV
                amounts[str(name)] = np.random.uniform(low, high)  # noqa: NPY002
        return amounts

    def transform(self, results: dict) -> dict:
        """Change the colours of ``results['img']``."""
        image = results['img']
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f'ColorJitter: {results.get("img_path", "the image")} is {image.dtype} of shape {image.shape}; '
                'expected uint8 of H x W x 3 in BGR, as LoadImageFromFile gives'
            )
        for name, amount in self._draw().items():
            image = _ADJUST[name](image, amount)
        results['img'] = image
        return results

    def __repr__(self) -> str:
        strengths = ', '.join(f'{name}={strength}' for name, strength in self.strengths.items())
        return f'{self.__class__.__name__}({strengths})'


@TRANSFORMS.register_module()
class GaussianBlur(BaseTransform):
    """Blur by a Gaussian of a random width.

    The kernel reaches ``ceil(3 * sigma)`` pixels to each side, so its size is ``2 * ceil(3 * sigma) + 1``. Borders
    are mirrored without repeating the edge. SimSiam takes the same sigma, blurs with Pillow and applies it to half of
    the views (``RandomApply(prob=0.5)``).

    Required Keys:

    - img (H x W or H x W x C)

    Modified Keys:

    - img (a new array)

    Args:
        sigma: least and greatest standard deviation in pixels; drawn uniformly.

    Raises:
        ValueError: unless 0 < least <= greatest.
    """

    def __init__(self, sigma: tuple[float, float] = (0.1, 2.0)) -> None:
        if not (isinstance(sigma, (list, tuple)) and len(sigma) == 2 and 0 < sigma[0] <= sigma[1] < math.inf):
            raise ValueError(f'sigma is {sigma}; expected (least, greatest), both above 0')
        self.sigma = tuple(sigma)

    @cache_randomness
    def _draw(self) -> float:
        # The global generator is the one that mmcv's transforms share and MMEngine seeds.
        return np.random.uniform(*self.sigma)  # noqa: NPY002

    def transform(self, results: dict) -> dict:
        """Blur ``results['img']``."""
        sigma = self._draw()
        size = 2 * math.ceil(3 * sigma) + 1
        results['img'] = cv2.GaussianBlur(results['img'], (size, size), sigma, borderType=cv2.BORDER_REFLECT_101)
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(sigma={self.sigma})'
