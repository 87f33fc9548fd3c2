"""Pages of what enters the network: pictures with the outline of the mask, and sentences as their tokens."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from .drawing import INK, PAPER, TRUTH, caption, text_font
from .panel import fit_size, resize_labels, resize_picture
from .words import Token

CELL, GAP, TEXT_SIZE = 224, 6, 12
UNKNOWN, SPECIAL, CUT = (213, 94, 0), (0, 114, 178), (150, 150, 150)
COLORS = dict(word=INK, unknown=UNKNOWN, special=SPECIAL, cut=CUT)
IGNORED = (90, 90, 90)


def token_strip(tokens: Sequence[Token], width: int) -> np.ndarray:
    """Tokens one after the other, wrapped: special blue, unknown orange with what they stand for, cut grey and struck.

    Args:
        tokens: of :func:`read_tokens`.
        width: pixels.

    Returns:
        (H, width, 3) uint8 RGB.
    """
    places, left, line, step = [], 0, 0, round(TEXT_SIZE * 1.4)
    for token in tokens:
        font = text_font(token.shown, TEXT_SIZE)
        # A word without spaces may be longer than the line: its end is left out.
        shown = token.shown
        while font.getlength(shown) > width - 12 and len(shown) > 1:
            shown = shown[: len(shown) // 2]
        length = round(font.getlength(shown))
        if left and left + length > width - 12:
            left, line = 0, line + 1
        places.append((shown, font, left, line, length, token.kind))
        left += length + 6
    page = Image.new('RGB', (width, (line + 1) * step + 6), PAPER)
    draw = ImageDraw.Draw(page)
    for shown, font, left, line, length, kind in places:
        x, y = left + 6, line * step + 3 + step // 2
        draw.text((x, y), shown, COLORS[kind], font=font, anchor='lm')
        if kind == 'cut':
            draw.line((x, y, x + length, y), CUT)
    return np.asarray(page)


def outlined(picture: np.ndarray, mask: np.ndarray | None, side: int = CELL) -> np.ndarray:
    """A picture in a square, enlarged or made smaller, with the outline of its mask; ignored pixels are dark grey.

    Args:
        picture: (H, W, 3) uint8 RGB.
        mask: (H, W), non-zero is foreground, 255 is ignored.
        side: of the square.

    Returns:
        (side, side, 3) uint8 RGB.
    """
    size = fit_size(picture.shape, side)
    out = resize_picture(picture, size)
    if mask is not None:
        labels = resize_labels(mask, size)
        out[labels == 255] = IGNORED
        area = ((labels != 0) & (labels != 255)).astype(np.uint8)
        outlines, _ = cv2.findContours(area, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(out, outlines, -1, TRUTH, 1)
    page = np.full((side, side, 3), PAPER, np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    page[top : top + size[1], left : left + size[0]] = out
    return page


def sample_cell(
    pictures: Sequence[np.ndarray], mask: np.ndarray | None, name: str, text: str | None, tokens: Sequence[Token]
) -> np.ndarray:
    """One sample: its picture (or its views, beside one another), tokens, size and number of tokens, and name.

    Args:
        pictures: one, or two views, (H, W, 3) uint8 RGB.
        mask: (H, W) or None.
        name: of the sample.
        text: the sentence; None without.
        tokens: of the sentence; none where the pipeline makes none, and then the sentence itself is drawn.
    """
    row = np.hstack([outlined(picture, mask) for picture in pictures])
    width = row.shape[1]
    notes = [f'{pictures[0].shape[1]} x {pictures[0].shape[0]}']
    kinds = [token.kind for token in tokens]
    if tokens:
        notes.append(f'{len(kinds) - kinds.count("cut")} tokens')
    notes += [f'{kinds.count(kind)} {kind}' for kind in ('cut', 'unknown') if kind in kinds]
    words = token_strip(tokens, width) if tokens else caption(text or '', width, TEXT_SIZE)
    return np.vstack([row, words, caption(', '.join(notes), width, TEXT_SIZE), caption(name, width, TEXT_SIZE)])


def pages(cells: Sequence[np.ndarray], columns: int = 4, rows: int = 3) -> list[np.ndarray]:
    """Cells of one width as pages of ``columns`` x ``rows``; a row is as high as its highest cell."""
    out = []
    for start in range(0, len(cells), columns * rows):
        here = cells[start : start + columns * rows]
        lines = []
        for first in range(0, len(here), columns):
            line = here[first : first + columns]
            height = max(cell.shape[0] for cell in line) + GAP
            line = [np.pad(c, ((0, height - c.shape[0]), (0, GAP), (0, 0)), constant_values=PAPER[0]) for c in line]
            lines.append(np.hstack(line + [np.full_like(line[0], PAPER[0])] * (columns - len(line))))
        out.append(np.vstack(lines))
    return out
