"""The panel of one prediction: image, truth, prediction, errors, probability, and the sentence below."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw

from ..evaluation.overlap import Counts, count, dice, iou
from .drawing import INK, PAPER, PREDICTION, TRUTH, as_rgb, caption, overlay, text_font

# Of Okabe and Ito's palette, which people with any kind of colour vision tell apart; grey is for ignored pixels.
TP, FP, FN, IGNORED = (0, 158, 115), (213, 94, 0), (86, 180, 233), (150, 150, 150)
STRIP, NARROWEST, TEXT_SIZE = 24, 112, 13
MOST_CHARACTERS = 1000  # of a sentence, so that no caption fills a page


def error_map(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray, ignore_index: int = 255) -> np.ndarray:
    """Colour right and wrong foreground: TP, FP, FN; elsewhere the image, grey and dimmed.

    Args:
        image: (H, W, 3) uint8 RGB.
        truth: (H, W), non-zero is foreground, ``ignore_index`` is drawn grey.
        prediction: (H, W), non-zero is foreground.
        ignore_index: label that counts nowhere.

    Returns:
        (H, W, 3) uint8 RGB, a new array.
    """
    out = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] // 2, 3, axis=2)
    ignored, t, p = truth == ignore_index, truth != 0, prediction != 0
    for area, color in ((t & p, TP), (p & ~t, FP), (t & ~p, FN), (ignored, IGNORED)):
        out[area] = color
    return out


def heat(values: np.ndarray, highest: float = 1.0) -> np.ndarray:
    """(H, W) numbers from 0 to ``highest`` as viridis, whose steps look equal; (H, W, 3) uint8 RGB."""
    scaled = np.nan_to_num(np.asarray(values, np.float32)) * (255 / max(highest, 1e-12))
    colors = cv2.applyColorMap(scaled.clip(0, 255).round().astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    return np.ascontiguousarray(colors[..., ::-1])


def fit_size(shape: Sequence[int], side: int) -> tuple[int, int]:
    """Width and height of a picture (height, width) whose longer side becomes ``side``."""
    scale = side / max(shape[:2])
    return max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))


def resize_picture(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture in another size (width, height), smoothly."""
    smaller = size[0] < image.shape[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def resize_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels or pixel values in another size (width, height), each as it is."""
    values = labels.astype(np.float32 if labels.dtype.kind == 'f' else np.uint8)
    return cv2.resize(values, size, interpolation=cv2.INTER_NEAREST)


def scale_bar(width: int, lowest: str = '0', highest: str = '1') -> np.ndarray:
    """Viridis from left to right between the numbers of its ends, STRIP high."""
    strip = caption('', width, TEXT_SIZE, STRIP).copy()
    page = Image.fromarray(strip)
    draw, font = ImageDraw.Draw(page), text_font(lowest + highest, TEXT_SIZE)
    left, right = (round(font.getlength(end)) + 10 for end in (lowest, highest))
    draw.text((5, STRIP // 2), lowest, INK, font=font, anchor='lm')
    draw.text((width - 5, STRIP // 2), highest, INK, font=font, anchor='rm')
    strip = np.array(page)
    bar = heat(np.linspace(0, 1, max(1, width - left - right))[None])
    strip[6 : STRIP - 6, left : left + bar.shape[1]] = bar
    return strip


def _legend(width: int, ignored: bool) -> np.ndarray:
    page = Image.fromarray(caption('', width, TEXT_SIZE, STRIP))
    draw = ImageDraw.Draw(page)
    entries = [('TP', TP), ('FP', FP), ('FN', FN), *([('ign.', IGNORED)] if ignored else [])]
    for i, (name, color) in enumerate(entries):
        left = i * width // len(entries) + 5
        draw.rectangle((left, 7, left + 9, STRIP - 8), fill=color)
        draw.text((left + 13, STRIP // 2), name, INK, font=text_font(name, 11), anchor='lm')
    return np.asarray(page)


def _cell(title: str, picture: np.ndarray, foot: str | np.ndarray = '') -> np.ndarray:
    """A picture between its title and a strip, centred where it is narrow."""
    width = max(picture.shape[1], NARROWEST)
    middle = np.full((picture.shape[0], width, 3), PAPER, np.uint8)
    left = (width - picture.shape[1]) // 2
    middle[:, left : left + picture.shape[1]] = picture
    foot = caption(foot, width, TEXT_SIZE, STRIP) if isinstance(foot, str) else foot
    return np.vstack([caption(title, width, TEXT_SIZE, STRIP), middle, foot])


def panel(
    image: np.ndarray,
    text: str = '',
    truth: np.ndarray | None = None,
    prediction: np.ndarray | None = None,
    probability: np.ndarray | None = None,
    side: int = 320,
    ignore_index: int = 255,
) -> np.ndarray:
    """What there is of one item, side by side: image, truth, prediction, errors, probability; the sentence below.

    Dice and IoU are worked out before anything is resized, by :mod:`mmseg_textseg.evaluation.overlap`. Where sizes
    differ, all is shown in the truth's, without one in the prediction's.

    Args:
        image: (H, W, 3) uint8 RGB, or (H, W) grey.
        text: the sentence; none for a text-free model.
        truth: (H, W), non-zero is foreground.
        prediction: (H, W), non-zero is foreground.
        probability: (H, W) of the foreground, 0 to 1.
        side: of a picture on the panel, pixels: its longer one.
        ignore_index: label of the truth that counts nowhere.

    Returns:
        RGB page.
    """
    shape = next(a.shape[:2] for a in (truth, prediction, probability, image) if a is not None)
    size = fit_size(shape, side)
    picture = resize_picture(as_rgb(image), size)
    cells = [_cell('image', picture, f'{shape[1]} x {shape[0]}')]
    shown_truth = None if truth is None else resize_labels(truth, size)
    shown = None if prediction is None else resize_labels(prediction != 0, size)
    if truth is not None:
        area = (truth != 0) & (truth != ignore_index)
        foreground = (shown_truth != 0) & (shown_truth != ignore_index)
        cells.append(_cell('truth', overlay(picture, foreground, TRUTH), f'{area.sum()} pixels'))
    if prediction is not None:
        cells.append(_cell('prediction', overlay(picture, shown, PREDICTION), f'{(prediction != 0).sum()} pixels'))
    scores = ''
    if truth is not None and prediction is not None:
        errors = error_map(picture, shown_truth, shown, ignore_index)
        cells.append(_cell('errors', errors, _legend(max(size[0], NARROWEST), bool((truth == ignore_index).any()))))
        scores = _scores(truth, prediction, ignore_index)
    if probability is not None:
        bar = scale_bar(max(size[0], NARROWEST))
        cells.append(_cell('probability', heat(resize_labels(probability, size)), bar))
    gap = np.full((cells[0].shape[0], 4, 3), PAPER, np.uint8)
    rows = [np.hstack([part for cell in cells for part in (cell, gap)][:-1])]
    text = text if len(text) <= MOST_CHARACTERS else f'{text[:MOST_CHARACTERS]} ...'
    rows += [caption(line, rows[0].shape[1], 15) for line in (scores, text) if line.strip()]
    return np.vstack(rows)


def _scores(truth: np.ndarray, prediction: np.ndarray, ignore_index: int) -> str:
    prediction = resize_labels(prediction != 0, truth.shape[::-1])
    counts: Counts = count(torch.from_numpy(prediction), torch.from_numpy(truth.astype(np.int64)), ignore_index)
    return f'Dice {dice(counts):.3f}, IoU {iou(counts):.3f}; TP {counts.tp}, FP {counts.fp}, FN {counts.fn} pixels'
