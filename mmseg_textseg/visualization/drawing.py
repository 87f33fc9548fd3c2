"""Pictures a person can check: masks over images, the sentence beside them."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

PREDICTION = (230, 60, 60)
TRUTH = (60, 200, 90)
INK, PAPER = (20, 20, 20), (250, 250, 250)


def overlay(image: np.ndarray, mask: np.ndarray, color: tuple[int, int, int] = PREDICTION) -> np.ndarray:
    """Tint a mask's area and draw its outline.

    Args:
        image: (H, W, 3) uint8 RGB, or (H, W) grey.
        mask: (H, W), non-zero is foreground.
        color: RGB.

    Returns:
        (H, W, 3) uint8 RGB, a new array.
    """
    out = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image.copy()
    area = np.ascontiguousarray(mask != 0).astype(np.uint8)
    inside = area.astype(bool)
    out[inside] = (0.65 * out[inside] + 0.35 * np.array(color)).astype(np.uint8)
    outlines, _ = cv2.findContours(area, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(out, outlines, -1, color, max(1, round(max(out.shape[:2]) / 300)))


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _lines(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Break a sentence at spaces to fit ``width`` pixels."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f'{lines[-1]} {word}') <= width:
            lines[-1] += f' {word}'
        else:
            lines.append(word)
    return lines or ['']


def caption(text: str, width: int, size: int = 14, height: int | None = None) -> np.ndarray:
    """Text as a picture, black on white, wrapped.

    Args:
        text: the sentence.
        width: pixels.
        size: of the font, pixels.
        height: pixels; default: as the text needs.
    """
    font = _font(size)
    lines = _lines(text, font, width - size)
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
