"""Overlays, captions and the sheet: which pixels change, and that no sentence breaks them."""

import numpy as np
import pytest

from mmseg_textseg.visualization import caption, overlay, sheet, with_caption
from mmseg_textseg.visualization.drawing import INK, PAPER, PREDICTION, TRUTH

SENTENCE = 'The largest lesion in the right lobe of the liver, with a clear boundary and no enhancement.'


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def square(height=40, width=60) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[10:20, 15:35] = True
    return mask


def inner(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask whose four neighbours are in it too."""
    padded = np.pad(mask, 1)
    return mask & padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:] & padded[1:-1, :-2]


def test_overlay_tints_the_inside_draws_the_outline_and_leaves_the_rest(image):
    mask, color = square(), (230, 60, 60)
    before = image.copy()
    out = overlay(image, mask, color)
    assert out.shape == image.shape
    assert out.dtype == np.uint8
    assert np.array_equal(image, before), 'the image is the caller’s'
    inside = inner(mask)
    assert inside.sum() == 8 * 18
    assert np.abs(out[inside] - (0.65 * image[inside] + 0.35 * np.array(color))).max() <= 1
    assert (out[mask & ~inside] == color).all()
    assert np.array_equal(out[~mask], image[~mask])


def test_overlay_of_a_grey_image(image):
    grey = image[..., 0]
    expected = overlay(np.dstack([grey] * 3), square())
    assert np.array_equal(overlay(grey, square()), expected)


@pytest.mark.parametrize('kind', [bool, np.uint8, np.int64, np.float32])
def test_any_non_zero_mask_is_foreground(image, kind):
    assert np.array_equal(overlay(image, square().astype(kind) * kind(1)), overlay(image, square()))
    assert np.array_equal(overlay(image, square().astype(np.int64) * 255), overlay(image, square()))
    assert np.array_equal(overlay(image, square().T.copy().T), overlay(image, square())), 'memory order'


def test_overlay_of_masks_that_are_empty_or_full(image):
    assert np.array_equal(overlay(image, np.zeros((40, 60))), image)
    full = overlay(image, np.ones((40, 60)))
    assert (full != image).any(-1).mean() > 0.95


def test_outline_of_a_large_picture_is_thick_enough_to_see():
    picture, mask = np.zeros((600, 600, 3), np.uint8), np.zeros((600, 600), bool)
    mask[200:400, 200:400] = True
    out = overlay(picture, mask, TRUTH)
    changed = (out != 0).any(-1)
    assert changed[mask].all()
    ys, xs = np.nonzero(changed)
    assert min(ys.min(), xs.min()) >= 197
    assert max(ys.max(), xs.max()) <= 402
    assert (out == TRUTH).all(-1).sum() >= 2 * 4 * 190


def ink_rows(page: np.ndarray) -> int:
    """Number of text lines: runs of rows that hold ink."""
    dark = (page < 128).all(-1).any(1)
    return int((np.diff(dark.astype(int), prepend=0) == 1).sum())


def test_caption_wraps_instead_of_running_over_the_edge():
    wide, narrow = caption(SENTENCE, 2000), caption(SENTENCE, 200)
    assert wide.shape[1] == 2000
    assert narrow.shape[1] == 200
    assert narrow.shape[0] > 3 * wide.shape[0]
    assert ink_rows(wide) <= 2, 'dots and commas may stand apart, lines may not'
    for page in (wide, narrow):
        assert page.dtype == np.uint8
        assert (page[:, -1] == PAPER).all(), 'no word is cut at the right edge'
        assert (page == INK).all(-1).any(), 'there is text'


def test_wrapping_loses_no_word():
    words = 'one two three four five six seven eight nine ten'
    tall = caption(words, 90)
    alone = [caption(word, 90) for word in words.split()]
    ink = lambda page: int((255 - page.astype(int)).sum())  # noqa: E731
    paper = int((255 - np.array(PAPER)).sum())
    marks = sum(ink(page) - paper * page.shape[0] * page.shape[1] for page in alone)
    assert ink(tall) - paper * tall.shape[0] * tall.shape[1] == pytest.approx(marks, rel=0.03)


def test_caption_is_the_same_every_time():
    assert np.array_equal(caption(SENTENCE, 150), caption(SENTENCE, 150))
    assert not np.array_equal(caption('left', 150), caption('right', 150))


def test_caption_of_a_set_height():
    assert caption('short', 100, height=77).shape == (77, 100, 3)
    assert caption(SENTENCE * 9, 100, height=40).shape == (40, 100, 3)


@pytest.mark.parametrize(
    'text', ['', '   ', '\n', 'x' * 500, f'{"y" * 300} and {"z" * 300}', 'größe 最大的病灶 ✓', 'a\nb\tc', '\x00']
)
def test_odd_text_does_not_break(text, image):
    page = caption(text, 120)
    assert page.shape[1] == 120
    assert page.shape[0] > 0
    captioned = with_caption(image, text)
    assert captioned.shape[1] == 60
    assert np.array_equal(captioned[:40], image)
    assert sheet([(image, text, square(), square(), '')], 64).shape == (26 + 64, 4 * 64, 3)


def test_caption_stands_below_the_picture(image):
    page = with_caption(image, SENTENCE)
    assert np.array_equal(page[:40], image)
    assert page.shape[0] > 40
    assert (page[40:] == INK).all(-1).any()


@pytest.mark.parametrize('rows', [1, 3])
def test_sheet_size_and_columns(image, rows):
    truth, prediction = square(), np.roll(square(), 5, 1)
    page = sheet([(image, SENTENCE, truth, prediction, '(Dice 0.50)')] * rows, cell=96)
    assert page.shape == (26 + rows * 96, 4 * 96, 3)
    assert page.dtype == np.uint8
    cells = [page[26:122, i * 96 : (i + 1) * 96] for i in range(4)]
    count = lambda cell, color: int((cell == color).all(-1).sum())  # noqa: E731
    assert [count(cell, TRUTH) > 20 for cell in cells] == [False, False, True, False]
    assert [count(cell, PREDICTION) > 20 for cell in cells] == [False, False, False, True]
    # Columns 15 to 34 and 20 to 39 of 60, in a cell of 96.
    left = lambda cell, color: np.nonzero((cell == color).all(-1).sum(0) > 10)[0].min()  # noqa: E731
    assert left(cells[2], TRUTH) == pytest.approx(15 * 96 / 60, abs=1)
    assert left(cells[3], PREDICTION) == pytest.approx(20 * 96 / 60, abs=1)
    assert count(cells[1], PAPER) > 1000
    # Where nothing is marked, truth and prediction show the picture itself.
    assert np.array_equal(cells[2][60:], cells[0][60:])
    assert np.array_equal(cells[3][60:], cells[0][60:])


def test_sheet_of_grey_pictures_empty_masks_and_nothing(image):
    empty = np.zeros((40, 60))
    page = sheet([(image[..., 0], 'grey', empty, empty, '')], cell=64)
    assert np.array_equal(page[26:, :64], page[26:, 128:192])
    assert np.array_equal(page[26:, :64], page[26:, 192:])
    assert sheet([]).shape == (26, 4 * 192, 3)


def test_sheet_shows_the_remark(image):
    row = (image, 'sentence', square(), square())
    assert not np.array_equal(sheet([(*row, '(Dice 0.10)')]), sheet([(*row, '(Dice 0.90)')]))
