"""The panel of a prediction: known pixels of every part, and that no sentence, size or missing part breaks it."""

import cv2
import numpy as np
import pytest

from mmseg_textseg.visualization import error_map, heat, panel
from mmseg_textseg.visualization.drawing import INK, PAPER, PREDICTION, TRUTH, as_rgb, caption
from mmseg_textseg.visualization.panel import FN, FP, IGNORED, STRIP, TP, scale_bar

GAP = 4


def square(top, left, size=20, shape=(100, 100)) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[top : top + size, left : left + size] = 1
    return mask


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)


def cells(page: np.ndarray, number: int, side: int = 200) -> list[np.ndarray]:
    """Pictures of a panel of square ones."""
    assert page.shape[1] == number * side + (number - 1) * GAP
    return [page[STRIP : STRIP + side, i * (side + GAP) : i * (side + GAP) + side] for i in range(number)]


def count(page: np.ndarray, color: tuple) -> int:
    return int((page == color).all(-1).sum())


def test_error_map_colours_each_kind_of_pixel(image):
    truth, prediction = square(10, 10), square(10, 20)
    truth[90:, 90:] = 255
    prediction[95:, 95:] = 1
    before = image.copy()
    out = error_map(image, truth, prediction)
    assert np.array_equal(image, before), 'the image is the caller’s'
    assert (out[10:30, 20:30] == TP).all()
    assert (out[10:30, 30:40] == FP).all()
    assert (out[10:30, 10:20] == FN).all()
    assert (out[90:, 90:] == IGNORED).all(), 'also where something is predicted'
    assert [count(out, color) for color in (TP, FP, FN, IGNORED)] == [200, 200, 200, 100]
    rest = out[40:90]
    assert (rest == rest[..., :1]).all(), 'grey'
    assert np.array_equal(rest[..., 0], cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[40:90] // 2)


def test_error_colours_stay_apart_for_the_colour_blind():
    # Viénot, Brettel and Mollon 1999, on linear light: red-green blindness of both kinds.
    kinds = (
        [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
        [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
    )
    colors = (np.array([TP, FP, FN]) / 255.0) ** 2.2
    for kind in kinds:
        seen = 255 * (colors @ np.array(kind).T).clip(0, 1) ** (1 / 2.2)
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
        assert apart[np.triu_indices(3, 1)].min() > 100


def test_heat_is_viridis_over_its_range():
    ends = heat(np.array([[0.0, 1.0, 2.0, -1.0, np.nan]]))
    assert np.abs(ends[0, 0].astype(int) - (68, 1, 84)).max() <= 2
    assert np.abs(ends[0, 1].astype(int) - (253, 231, 37)).max() <= 2
    assert np.array_equal(ends[0, 2], ends[0, 1])
    assert np.array_equal(ends[0, 3], ends[0, 0])
    assert np.array_equal(ends[0, 4], ends[0, 0])
    assert np.array_equal(heat(np.array([[0.2]]), 0.4), heat(np.array([[0.5]])))


def test_panel_shows_five_pictures_with_the_right_pixels(image):
    truth, prediction = square(10, 10), square(10, 20)
    probability = np.linspace(0, 1, 100)[None].repeat(100, 0)
    page = panel(image, 'the lesion', truth, prediction, probability, side=200)
    shown, true, predicted, errors, chance = cells(page, 5)
    assert page.dtype == np.uint8
    assert count(true, TRUTH) > 100
    assert count(true, PREDICTION) == 0
    assert count(predicted, PREDICTION) > 100
    assert count(predicted, TRUTH) == 0
    # Twice the size: rows 20 to 59, columns 20 to 39, 40 to 59, 60 to 79.
    assert (errors[20:60, 40:60] == TP).all()
    assert (errors[20:60, 60:80] == FP).all()
    assert (errors[20:60, 20:40] == FN).all()
    assert count(errors, TP) == 800
    assert np.array_equal(chance, heat(np.repeat(np.repeat(probability, 2, 0), 2, 1)))
    assert np.array_equal(shown[100:], true[100:]), 'without mask the picture itself'
    assert (page[STRIP + 200 :] == INK).all(-1).any(), 'text below'


def test_panel_tells_dice_and_sentence(image):
    truth, prediction = square(10, 10), square(10, 20)
    page = panel(image, 'the lesion', truth, prediction, side=200)
    width = page.shape[1]
    told = caption('Dice 0.500, IoU 0.333; TP 200, FP 200, FN 200 pixels', width, 15)
    said = caption('the lesion', width, 15)
    bottom = np.vstack([told, said])
    assert np.array_equal(page[-bottom.shape[0] :], bottom)


def test_dice_is_that_of_the_full_size_and_leaves_ignored_pixels_out(image):
    truth, prediction = square(0, 0, 1, (1000, 1000)), square(0, 0, 1, (1000, 1000))
    prediction[0, 1] = 1
    truth[500:, 500:] = 255
    prediction[500:, 500:] = 1
    page = panel(image, '', truth, prediction, side=100)
    told = caption('Dice 0.667, IoU 0.500; TP 1, FP 1, FN 0 pixels', page.shape[1], 15)
    assert np.array_equal(page[-told.shape[0] :], told)


@pytest.mark.parametrize('given', [(), ('truth',), ('prediction',), ('truth', 'prediction'), ('probability',)])
def test_panel_of_what_there_is(image, given):
    parts = dict(truth=square(5, 5), prediction=square(9, 9), probability=np.full((100, 100), 0.3, np.float32))
    page = panel(image, 'a lesion', side=200, **{name: parts[name] for name in given})
    cells(page, 1 + len(given) + (given == ('truth', 'prediction')))


def test_panel_without_a_sentence_has_no_line_for_one(image):
    line = caption('a', 1000, 15).shape[0]
    assert panel(image, '').shape[0] == panel(image, 'a').shape[0] - line
    assert panel(image, ' \n').shape == panel(image, '').shape


@pytest.mark.parametrize(
    'text',
    [
        'x' * 5000,
        'two words ' * 2000,
        'الآفة الكبيرة في الفص الأيسر',
        'הנגע הגדול',
        '最大的病灶' * 60,
        '😀🫁 lung',
        'a\x00b',
    ],
    ids=['word', 'long', 'arabic', 'hebrew', 'chinese', 'emoji', 'null'],
)
def test_no_sentence_breaks_the_panel(image, text):
    page = panel(image, text, square(5, 5), square(9, 9), side=200)
    assert page.shape[1] == 4 * 200 + 3 * GAP
    below = page[STRIP + 200 + STRIP :]
    assert below.shape[0] < 700
    assert (below[:, -1] == PAPER).all(), 'nothing is cut at the edge'
    assert (below == INK).all(-1).any()


def test_arabic_is_drawn_in_letters_not_in_boxes():
    ink = lambda text: caption(text, 200, 20) != caption('', 200, 20)  # noqa: E731
    assert not np.array_equal(ink('يسار'), ink('يمين'))
    assert not np.array_equal(ink('Größe'), ink('Grösse'))


@pytest.mark.parametrize('shape', [(40, 60), (60, 40), (3, 300), (300, 3), (1, 1)])
def test_panel_keeps_the_shape_of_the_picture(shape):
    image = np.full((*shape, 3), 90, np.uint8)
    mask = np.ones(shape, np.uint8)
    page = panel(image, 'all', mask, mask, mask.astype(np.float32), side=120)
    height, width = (max(1, round(120 * length / max(shape))) for length in shape)
    area = page[STRIP : STRIP + height]
    assert page.shape[1] == 5 * max(width, 112) + 4 * GAP
    # The first picture is grey 90 on white.
    first = area[:, : max(width, 112)]
    assert count(first, (90, 90, 90)) == height * width
    assert count(area[:, 3 * (max(width, 112) + GAP) :], TP) == height * width


def test_parts_of_other_sizes_are_shown_in_the_truths(image):
    truth = square(20, 20, 40, (200, 200))
    prediction = square(10, 10, 20, (100, 100))
    page = panel(image, '', truth, prediction, np.full((50, 50), 0.5), side=200)
    errors = cells(page, 5)[3]
    assert (errors[20:60, 20:60] == TP).all()
    assert count(errors, FP) == count(errors, FN) == 0
    told = caption('Dice 1.000, IoU 1.000; TP 1600, FP 0, FN 0 pixels', page.shape[1], 15)
    assert np.array_equal(page[-told.shape[0] :], told)


def test_scale_bar_goes_from_dark_to_bright():
    bar = scale_bar(200)
    assert bar.shape == (STRIP, 200, 3)
    colored = np.flatnonzero((bar[STRIP // 2] == heat(np.array([[0.0]]))[0, 0]).all(-1))
    bright = np.flatnonzero((bar[STRIP // 2] == heat(np.array([[1.0]]))[0, 0]).all(-1))
    assert colored.min() < 30
    assert bright.max() > 170


@pytest.mark.parametrize('kind', [np.uint8, np.uint16, np.float32, np.float64])
def test_any_picture_becomes_rgb(kind):
    grey = np.array([[0, 10], [20, 40]], kind)
    expected = grey if kind is np.uint8 else np.array([[0, 64], [128, 255]])
    for picture in (grey, grey[..., None], np.dstack([grey] * 3), np.dstack([grey] * 5)):
        out = as_rgb(picture)
        assert out.shape == (2, 2, 3)
        assert out.dtype == np.uint8
        assert np.array_equal(out[..., 1], expected)
    assert as_rgb(np.full((2, 2), np.nan)).max() == 0
