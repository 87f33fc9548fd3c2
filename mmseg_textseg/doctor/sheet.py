"""A page of samples with sentence and mask, those with a warning first."""

import cv2
import numpy as np
from mmseg.registry import TRANSFORMS

from ..visualization import caption, overlay
from ..visualization.drawing import TRUTH, bgr_as_rgb
from .examine import Examination

CELL, WORDS, COLUMNS = 240, 84, 6
# A finding that a look at the sample can settle.
TO_SEE = ('same-image', 'near-image', 'wrong-side', 'odd-mask', 'ambiguous-text', 'full-mask', 'empty-mask')
PER_CHECK = 3
MARKED, MARGIN = (200, 40, 40), (250, 250, 250)


def contact_sheet(examination: Examination, samples: int = 24, seed: int = 0) -> np.ndarray:
    """Pictures with mask, sentence and name of the sample; a red frame names the check that found it.

    Args:
        examination: what was found.
        samples: how many in all; at most half of them are from findings, the others drawn evenly from the splits.
        seed: of that draw.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: if no sample can be shown.
    """
    rows = examination.rows
    chosen = _flagged(examination, samples // 2)
    chosen += _drawn(examination, samples - len(chosen), seed, {entry for entry, _ in chosen})
    cells = [_cell(examination, entry, remark) for entry, remark in chosen]
    if not cells:
        raise ValueError(f'none of {len(rows)} samples has an image that can be read, so there is no sheet to draw')
    while len(cells) % COLUMNS:
        cells.append(np.full_like(cells[0], 250))
    return np.vstack([np.hstack(cells[start : start + COLUMNS]) for start in range(0, len(cells), COLUMNS)])


def _flagged(examination: Examination, most: int) -> list[tuple[int, str]]:
    rows = examination.rows
    wanted: dict[tuple, str] = {}
    for finding in examination.findings:
        if finding.check in TO_SEE:
            for one in finding.examples[:PER_CHECK]:
                wanted.setdefault((one['split'], one['row'], one['sample']), finding.check)
    places = {}
    if wanted:
        for entry, (row, sample) in enumerate(rows.places()):
            key = (rows.splits[rows.split[entry]].name, row, sample)
            if key in wanted and examination.images['read'][rows.image[entry]]:
                places.setdefault(key, entry)
    return [(places[key], check) for key, check in wanted.items() if key in places][:most]


def _drawn(examination: Examination, number: int, seed: int, taken: set[int]) -> list[tuple[int, str]]:
    rows, rng = examination.rows, np.random.default_rng(seed)
    good = examination.images['read'][rows.image] if len(rows) else np.zeros(0, bool)
    queues = []
    for split in range(len(rows.splits)):
        mine = np.flatnonzero(good & (rows.split == split))
        # An image once, with one of its sentences.
        _, first = np.unique(rows.image[mine][order := rng.permutation(len(mine))], return_index=True)
        entries = mine[order][first]
        queues.append([e for e in rng.permutation(entries).tolist() if e not in taken])
    chosen: list[int] = []
    while len(chosen) < number and any(queues):
        for queue in queues:
            if queue and len(chosen) < number:
                chosen.append(queue.pop())
    return [(entry, '') for entry in sorted(chosen)]


def _cell(examination: Examination, entry: int, remark: str) -> np.ndarray:
    rows = examination.rows
    number, path, which = rows.images[rows.image[entry]]
    loading = rows.loadings[number]
    item = TRANSFORMS.build(dict(loading.image)).transform(dict(img_path=path, attributes=dict(slice=which)))
    image = bgr_as_rgb(item['img'])
    scale = CELL / max(image.shape[:2])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    picture = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    note = ''
    mask_path = rows.mask_path(entry)
    if mask_path is not None:
        results = dict(img_path=path, seg_map_path=mask_path, seg_fields=[], label_map=None, reduce_zero_label=False)
        if 'slice_view' in item:
            results['slice_view'] = item['slice_view']
        try:
            mask = TRANSFORMS.build(dict(loading.mask)).transform(results)['gt_seg_map']
            picture = overlay(picture, cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), TRUTH)
        except (ValueError, OSError):  # in the report
            note = ' [no mask]'
    page = np.full((CELL, CELL, 3), MARGIN, np.uint8)
    top, left = (CELL - size[1]) // 2, (CELL - size[0]) // 2
    page[top : top + size[1], left : left + size[0]] = picture
    name = rows.splits[rows.split[entry]].name
    told = f'{f"[{remark}] " if remark else ""}{name}, {rows.sample(entry)}{note}: {rows.texts[rows.text[entry]]}'
    cell = np.vstack([page, caption(told, CELL, 11, WORDS)[:WORDS]])
    cell[[0, -1]] = cell[:, [0, -1]] = 200
    if remark:
        cv2.rectangle(cell, (1, 1), (CELL - 2, cell.shape[0] - 2), MARKED, 3)
    return cell
