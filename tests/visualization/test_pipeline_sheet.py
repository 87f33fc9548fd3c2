"""Pages of what enters the network: outlines at known pixels, colours of tokens, places of cells."""

import numpy as np
import pytest

from mmseg_textseg.visualization import Token
from mmseg_textseg.visualization.drawing import PAPER, TRUTH
from mmseg_textseg.visualization.pipeline_sheet import (
    CELL,
    CUT,
    GAP,
    IGNORED,
    SPECIAL,
    UNKNOWN,
    outlined,
    pages,
    sample_cell,
    token_strip,
)


def has(page: np.ndarray, color: tuple) -> bool:
    return bool((page == color).all(-1).any())


def test_outline_follows_the_mask_and_leaves_the_inside():
    picture, mask = np.full((56, 56, 3), 40, np.uint8), np.zeros((56, 56), np.uint8)
    mask[10:30, 20:40] = 1
    mask[50:] = 255
    out = outlined(picture, mask, 112)
    assert (out[20, 40:80] == TRUTH).all()
    assert (out[59, 40:80] == TRUTH).all()
    assert (out[20:60, 40] == TRUTH).all()
    assert (out[20:60, 79] == TRUTH).all()
    assert (out[22:58, 42:78] == 40).all(), 'what the mask covers can be seen'
    assert (out[100:] == IGNORED).all()
    assert (picture == 40).all()
    assert np.array_equal(outlined(picture, None, 56), picture)


def test_a_wide_picture_keeps_its_shape():
    out = outlined(np.zeros((20, 40, 3), np.uint8), None, 100)
    assert (out[:25] == PAPER).all()
    assert (out[25:75] == 0).all()


def test_tokens_have_the_colour_of_their_kind():
    kinds = dict(special=SPECIAL, unknown=UNKNOWN, cut=CUT)
    for kind, color in kinds.items():
        strip = token_strip([Token('lesion', 'lesion', kind)], 200)
        assert has(strip, color)
        assert not any(has(strip, other) for other in kinds.values() if other != color)


def test_cut_tokens_are_struck_through():
    strip = token_strip([Token('lesion', 'lesion', 'cut')], 200)
    columns = np.flatnonzero((strip == CUT).all(-1).sum(0))
    middle = (strip == CUT).all(-1).sum(1).max()
    assert middle >= columns.max() - columns.min(), 'one row is ink from end to end'
    plain = token_strip([Token('lesion', 'lesion', 'special')], 200)
    assert (plain == SPECIAL).all(-1).sum(1).max() < columns.max() - columns.min()


def test_tokens_wrap_and_none_is_cut_at_the_edge():
    words = [Token(f'word{i}', f'word{i}', 'word') for i in range(30)]
    narrow, wide = token_strip(words, 120), token_strip(words, 2000)
    assert narrow.shape[0] > 5 * wide.shape[0] / 2
    assert (narrow[:, -6:] == PAPER).all()
    assert (token_strip([Token('x' * 500, 'x' * 500, 'word')], 120)[:, -6:] == PAPER).all()
    assert token_strip([], 120).shape[1] == 120


@pytest.mark.parametrize('views', [1, 2])
def test_views_stand_beside_one_another(views):
    pictures = [np.full((10, 10, 3), 50 * (i + 1), np.uint8) for i in range(views)]
    cell = sample_cell(pictures, None, 'a', 'the lesion', [])
    assert cell.shape[1] == views * CELL
    for i in range(views):
        assert (cell[:CELL, i * CELL : (i + 1) * CELL] == 50 * (i + 1)).all()
    longer = sample_cell(pictures, None, 'a', 'the lesion ' * 30, [])
    assert longer.shape[0] > cell.shape[0], 'the sentence is drawn where there are no tokens'
    assert not np.array_equal(cell, sample_cell(pictures, None, 'b', 'the lesion', []))


def test_cells_fill_pages_line_by_line():
    cells = [np.full((50 + 10 * (i == 1), 40, 3), i, np.uint8) for i in range(8)]
    first, second = pages(cells, columns=3, rows=2)
    assert first.shape == (60 + GAP + 50 + GAP, 3 * (40 + GAP), 3)
    assert second.shape == (50 + GAP, 3 * (40 + GAP), 3)
    for i in range(6):
        top, left = (60 + GAP) * (i // 3), (40 + GAP) * (i % 3)
        assert (first[top : top + 50, left : left + 40] == i).all()
    assert (second[:, 2 * (40 + GAP) :] == PAPER).all()
    assert pages([]) == []
