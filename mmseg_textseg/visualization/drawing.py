"""Pictures a person can check: masks over images, the sentence beside them."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

PREDICTION = (230, 60, 60)
TRUTH = (60, 200, 90)
INK, PAPER = (20, 20, 20), (250, 250, 250)


def overlay(
    image: np.ndarray, mask: np.ndarray, color: tuple[int, int, int] = PREDICTION, opacity: float = 0.35
) -> np.ndarray:
    """Tint a mask's area and draw its outline.

    Args:
        image: (H, W, 3) uint8 RGB, or (H, W) grey.
        mask: (H, W), non-zero is foreground.
        color: RGB.
        opacity: of the tint, 0 to 1.

    Returns:
        (H, W, 3) uint8 RGB, a new array.
    """
    out = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image.copy()
    area = np.ascontiguousarray(mask != 0).astype(np.uint8)
    inside = area.astype(bool)
    out[inside] = ((1 - opacity) * out[inside] + opacity * np.array(color)).astype(np.uint8)
    outlines, _ = cv2.findContours(area, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(out, outlines, -1, color, max(1, round(max(out.shape[:2]) / 300)))


@lru_cache(maxsize=32)
def _load_font(size: int, latin: bool) -> ImageFont.FreeTypeFont:
    if latin:
        return ImageFont.load_default(size)
    # mmengine requires matplotlib, which ships a font for Greek, Cyrillic, Arabic and Hebrew; Pillow's own has ASCII.
    from matplotlib import get_data_path

    return ImageFont.truetype(str(Path(get_data_path()) / 'fonts' / 'ttf' / 'DejaVuSans.ttf'), size)


def text_font(text: str, size: int) -> ImageFont.FreeTypeFont:
    """A font of ``size`` pixels that has the letters of a text (none for Chinese, Japanese, Korean: boxes)."""
    return _load_font(size, text.isascii())


def text_lines(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Break a sentence to fit ``width`` pixels: at spaces, and inside of words that are longer."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f'{lines[-1]} {word}') <= width:
            lines[-1] += f' {word}'
            continue
        while word:
            head = word[: max(1, width)]  # of letters a pixel wide, no more would fit
            fits = bisect_right(range(1, len(head) + 1), width, key=lambda n: font.getlength(head[:n]))
            lines.append(head[: max(1, fits)])
            word = word[max(1, fits) :]
    return lines or ['']


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Any picture as (H, W, 3) uint8, a new array.

    Args:
        image: (H, W) or (H, W, C); of other channels than three the first is shown. What is not uint8 is stretched
            from its least to its largest value.
    """
    if image.dtype != np.uint8:
        image = np.nan_to_num(image.astype(np.float32))
        low, high = float(image.min()), float(image.max())
        image = ((image - low) * (255 / max(high - low, 1e-9))).round().astype(np.uint8)
    if image.ndim == 3 and image.shape[2] != 3:
        image = image[..., 0]
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else np.ascontiguousarray(image).copy()


def bgr_as_rgb(image: np.ndarray) -> np.ndarray:
    """What a loading transform gives, (H, W, 3) BGR or (H, W), as (H, W, 3) uint8 RGB."""
    return as_rgb(image[..., ::-1] if image.ndim == 3 and image.shape[2] == 3 else image)


def caption(text: str, width: int, size: int = 14, height: int | None = None) -> np.ndarray:
    """Text as a picture, black on white, wrapped.

    Args:
        text: the sentence.
        width: pixels.
        size: of the font, pixels.
        height: pixels; default: as the text needs.
    """
    font = text_font(text, size)
    lines = text_lines(text, font, width - size)
    step = round(size * 1.3)
    tall = max(len(lines) * step + size // 2, height or 0)
    page = Image.new('RGB', (width, tall), PAPER)
    draw = ImageDraw.Draw(page)
    top = (tall - len(lines) * step) // 2
    for i, line in enumerate(lines):
        draw.text((size // 2, top + i * step), line, INK, font=font)
    return np.asarray(page)[: height or tall]


def with_caption(image: np.ndarray, text: str) -> np.ndarray:
    """The sentence below a picture."""
    size = max(12, image.shape[1] // 32)
    return np.vstack([image, caption(text, image.shape[1], size)])


def sheet(rows: Sequence[tuple[np.ndarray, str, np.ndarray, np.ndarray, str]], cell: int = 192) -> np.ndarray:
    """A page of results: image, sentence, truth, prediction, a row each.

    Args:
        rows: image (H, W, 3) RGB or (H, W), sentence, truth (H, W), prediction (H, W), remark.
        cell: side of a picture on the page.

    Returns:
        RGB page.
    """

    def fit(picture: np.ndarray) -> np.ndarray:
        return cv2.resize(picture, (cell, cell), interpolation=cv2.INTER_CUBIC)

    def big(mask: np.ndarray) -> np.ndarray:
        return cv2.resize((mask != 0).astype(np.uint8), (cell, cell), interpolation=cv2.INTER_NEAREST)

    titles = [caption(t, cell, 14, 26) for t in ('image', 'sentence', 'truth', 'prediction')]
    page = [np.hstack(titles)]
    for image, text, truth, prediction, remark in rows:
        picture = fit(overlay(image, np.zeros(image.shape[:2])))
        words = caption(f'{text}  {remark}', cell, 14, cell)
        shown = overlay(picture, big(truth), TRUTH), overlay(picture, big(prediction), PREDICTION)
        page.append(np.hstack([picture, words, *shown]))
    return np.vstack(page)
