"""The picture of attention: a row a stage, a column a word, as LSMS's Fig. 6 with words."""

from collections.abc import Sequence

import cv2
import numpy as np

from .attention import Pass
from .drawing import PAPER, as_rgb, caption, overlay
from .panel import heat, resize_labels, resize_picture, scale_bar
from .words import Word

CELL, LABEL, TITLE, FOOT, GAP = 112, 92, 24, 20, 3


def attention_figure(
    image: np.ndarray,
    text: str,
    words: Sequence[Word],
    attention: Pass,
    mask: np.ndarray | None = None,
    special: bool = False,
    columns: int = 12,
) -> np.ndarray:
    """Draw the attention of one sample.

    Below each map stands its mean over the picture. Colours are shared by the words of a stage: dark is 0, yellow the
    stage's largest weight, which the row's label tells. Special tokens, which often take most of the attention, have
    no say in that and may be brighter than the scale. The first column is the length of the stage's features, from
    their least to their largest.

    Args:
        image: the network's picture without padding, (H, W, 3) uint8 RGB.
        text: the sentence.
        words: of :func:`group_words`.
        attention: of :func:`attend`, whose first sample is drawn.
        mask: (H', W') prediction, drawn on the picture.
        special: whether to show special tokens, as last columns.
        columns: words beside one another; longer sentences go on below.

    Returns:
        RGB page.
    """
    shown = [word for word in words if special or not word.special]
    picture = as_rgb(image)
    scale = CELL / max(picture.shape[:2])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    thumb = resize_picture(picture, size)
    if mask is not None:
        thumb = overlay(thumb, resize_labels(mask != 0, size))
    grey = np.repeat(cv2.cvtColor(resize_picture(picture, size), cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)

    stages = []
    for stage in attention.stages:
        weights = stage.weights[0].float().cpu().numpy()  # (h, w, T)
        maps = [weights[..., list(word.places)].sum(-1) for word in shown]
        highest = max([float(m.max()) for m, word in zip(maps, shown, strict=True) if not word.special], default=1.0)
        label = stage.name, f'{weights.shape[1]} x {weights.shape[0]}', f'0 to {highest:.3f}'
        features = stage.features[0].float().cpu().numpy()
        features = (features - features.min()) / max(float(np.ptp(features)), 1e-12)
        stages.append((label, features, maps, highest))

    def cell(values: np.ndarray, highest: float, tell: bool = True) -> np.ndarray:
        placed = _place(values, attention.size, picture.shape[:2], size)
        strength = (placed / max(highest, 1e-12)).clip(0, 1)[..., None]
        # Where there is little attention the picture shows through.
        cover = 0.2 + 0.65 * strength
        mixed = (1 - cover) * grey + cover * heat(placed, highest)
        return _framed(mixed.round().astype(np.uint8), f'{placed.mean():.3f}' if tell else '')

    bands = []
    count = max(1, -(-len(shown) // columns))
    columns = max(1, -(-len(shown) // count))  # bands of one length
    for start in range(0, count * columns, columns):
        band = shown[start : start + columns]
        first = start == 0
        heads = ['', *(['features'] if first else []), *(word.label for word in band)]
        rows = [np.hstack([_label(head, LABEL if i == 0 else CELL + GAP, TITLE) for i, head in enumerate(heads)])]
        for label, features, maps, highest in stages:
            cells = [cell(features, 1.0, tell=False)] if first else []
            cells += [cell(m, highest) for m in maps[start : start + columns]]
            rows.append(np.hstack([_lines_of(label, cells[0].shape[0]), *cells]))
        bands.append(np.vstack(rows))
    width = max(LABEL + CELL + GAP + 240, *(band.shape[1] for band in bands))
    beside = width - LABEL - CELL - GAP
    bar = _widened(scale_bar(min(beside, 240), '0', 'largest of the stage'), beside)
    words_beside = np.vstack([caption(text, beside, 15, CELL + GAP + FOOT - bar.shape[0]), bar])
    head = np.hstack([_lines_of(('image',), words_beside.shape[0]), _framed(thumb, ''), words_beside])
    return np.vstack([_widened(part, width) for part in (head, *bands)])


def _place(values: np.ndarray, padded: tuple[int, int], shape: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """A stage's map over the padded image, cut to the image and brought to ``size`` (width, height)."""
    whole = cv2.resize(values.astype(np.float32), padded[::-1], interpolation=cv2.INTER_NEAREST)
    return resize_labels(np.ascontiguousarray(whole[: shape[0], : shape[1]]), size)


def _framed(picture: np.ndarray, foot: str) -> np.ndarray:
    page = np.full((CELL + GAP, CELL + GAP, 3), PAPER, np.uint8)
    top, left = (CELL - picture.shape[0]) // 2, (CELL - picture.shape[1]) // 2
    page[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return np.vstack([page, caption(foot, CELL + GAP, 11, FOOT)])


def _label(text: str, width: int, height: int) -> np.ndarray:
    """One line, in smaller letters where it is long."""
    size = 14 if len(text) <= 12 else 10
    return caption(text, width, size, height)


def _lines_of(label: Sequence[str], height: int) -> np.ndarray:
    """The label of a row, its parts below one another, beside a picture with a foot."""
    lines = np.vstack([caption(line, LABEL, 12, 18) for line in label])
    above = (height - FOOT - lines.shape[0]) // 2
    return np.pad(lines, ((above, height - above - lines.shape[0]), (0, 0), (0, 0)), constant_values=PAPER[0])


def _widened(page: np.ndarray, width: int) -> np.ndarray:
    return np.pad(page, ((0, 0), (0, width - page.shape[1]), (0, 0)), constant_values=PAPER[0])
