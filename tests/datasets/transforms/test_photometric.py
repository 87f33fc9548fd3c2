"""ColorJitter and GaussianBlur against formulas written out here."""

import colorsys
import itertools
import math

import numpy as np
import pytest
from mmseg.registry import TRANSFORMS

from mmseg_textseg.datasets import ColorJitter, GaussianBlur

# A wrong channel order shows: red, green and blue weigh differently.
IMAGE = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
PRIMARIES = np.array([[[0, 0, 255], [0, 255, 0], [255, 0, 0]]], np.uint8)  # red, green, blue in BGR
OFF = dict(brightness=0, contrast=0, saturation=0, hue=0)


def jitter(image, **amounts):
    transform = ColorJitter()
    transform._draw = lambda: amounts
    return transform(dict(img=image))['img']


def grey(image):
    return image.astype(float) @ [0.114, 0.587, 0.299]  # of blue, green, red


def blend(image, other, factor):
    return np.clip(image * factor + other * (1 - factor), 0, 255)


def turn_hue(image, turn):
    turned = np.empty(image.shape)
    for place in np.ndindex(image.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*(image[place][::-1] / 255))
        turned[place] = np.multiply(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)[::-1], 255)
    return turned


@pytest.mark.parametrize('factor', [0.0, 0.6, 0.95, 1.0, 1.4, 2.0])
@pytest.mark.parametrize('image', [IMAGE, PRIMARIES, IMAGE // 4], ids=['random', 'primaries', 'dark'])
def test_brightness_contrast_and_saturation(image, factor):
    for name, other in (
        ('brightness', 0),
        ('contrast', grey(image).mean()),
        ('saturation', grey(image)[..., None]),
    ):
        changed = jitter(image, **{name: factor})
        assert (changed.dtype, changed.shape) == (np.uint8, image.shape)
        # One level for rounding to integers; twice that where a rounded grey is counted |1 - factor| times, too.
        np.testing.assert_allclose(changed, blend(image, other, factor), atol=1.6, err_msg=name)


def test_greys_of_the_primaries():
    """Worked by hand: 255 times 0.299, 0.587 and 0.114 is 76, 150 and 29; their mean is 85."""
    assert jitter(PRIMARIES, saturation=0.0).tolist() == [[[76] * 3, [150] * 3, [29] * 3]]
    assert jitter(PRIMARIES, contrast=0.0).tolist() == [[[85] * 3] * 3]


@pytest.mark.parametrize('turn', [-0.5, -0.1, -0.03, 0.03, 0.1, 0.5])
def test_hue(turn):
    error = np.abs(jitter(IMAGE, hue=turn) - turn_hue(IMAGE, turn))
    assert error.max() < 14  # turned in steps of 1/256, in 8-bit HSV
    assert error.mean() < 2
    unturned = np.abs(jitter(IMAGE, hue=turn) - turn_hue(IMAGE, -turn)).mean()
    assert unturned > 10 or abs(turn) == 0.5


def test_hue_of_the_primaries():
    """A third of the circle: red to green, green to blue, blue to red."""
    np.testing.assert_allclose(jitter(PRIMARIES, hue=1 / 3), np.roll(PRIMARIES.astype(int), -1, axis=1), atol=10)


def test_adjustments_come_in_the_drawn_order():
    one = jitter(jitter(IMAGE, contrast=0.5), brightness=2.0)
    other = jitter(jitter(IMAGE, brightness=2.0), contrast=0.5)
    assert np.abs(one.astype(int) - other).mean() > 5
    np.testing.assert_array_equal(jitter(IMAGE, contrast=0.5, brightness=2.0), one)
    np.testing.assert_array_equal(jitter(IMAGE, brightness=2.0, contrast=0.5), other)


@pytest.mark.parametrize('kept', [dict(), *(dict([item]) for item in dict(OFF).items())], ids=str)
def test_no_strength_no_change(kept):
    """Also of the hue, which is not the identity at a turn of 0."""
    assert np.abs(jitter(IMAGE, hue=0.0).astype(int) - IMAGE).max() > 0
    transform = ColorJitter(**{**OFF, **kept})
    for _ in range(5):
        np.testing.assert_array_equal(transform(dict(img=IMAGE))['img'], IMAGE)


def test_draws_of_the_jitter():
    transform = ColorJitter(brightness=0.4, contrast=0.2, saturation=1.5, hue=0.1)
    ranges = dict(brightness=(0.6, 1.4), contrast=(0.8, 1.2), saturation=(0, 2.5), hue=(-0.1, 0.1))
    draws = [transform._draw() for _ in range(1000)]
    for name, (low, high) in ranges.items():
        values = np.array([draw[name] for draw in draws])
        assert low <= values.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < values.max() <= high
        counts = np.histogram(values, 4, (low, high))[0]
        assert (abs(counts - 250) < 60).all()  # four standard deviations
    assert len({tuple(draw) for draw in draws}) == 24
    correlations = np.corrcoef([[draw[name] for draw in draws] for name in ranges])
    assert np.abs(correlations - np.eye(4)).max() < 0.15  # each has a draw of its own


def test_what_is_drawn_is_applied():
    """A plain grey shows the factor of the brightness."""
    image = np.full((2, 2, 3), 100, np.uint8)
    transform = ColorJitter(**{**OFF, 'brightness': 0.4})
    seen = np.array([transform(dict(img=image))['img'][0, 0, 0] for _ in range(500)])
    assert 59 <= seen.min() < 64
    assert 136 < seen.max() <= 140


@pytest.mark.parametrize('transform', [ColorJitter(), GaussianBlur()], ids=repr)
def test_input_is_untouched_and_draws_follow_the_seed(transform):
    image = IMAGE.copy()
    image.setflags(write=False)

    def draw():
        np.random.seed(3)  # noqa: NPY002 (the generator that MMEngine seeds)
        return [transform(dict(img=image, text='left'))['img'] for _ in range(4)]

    first = draw()
    np.testing.assert_array_equal(draw(), first)
    assert all((one != other).any() for one, other in itertools.pairwise(first))
    np.testing.assert_array_equal(image, IMAGE)


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        (dict(brightness=-0.1), 'brightness is -0.1'),
        (dict(contrast=-1), 'contrast is -1'),
        (dict(saturation=float('nan')), 'saturation is nan'),
        (dict(hue=0.6), 'hue is 0.6; expected 0 to 0.5'),
    ],
)
def test_strengths_out_of_range(wrong, message):
    with pytest.raises(ValueError, match=message):
        ColorJitter(**wrong)


@pytest.mark.parametrize('image', [IMAGE.astype(np.float32), IMAGE[..., 0], np.dstack([IMAGE, IMAGE])])
def test_images_of_another_kind(image):
    with pytest.raises(ValueError, match=r'i\.png is (uint8|float32) of shape .*expected uint8 of H x W x 3'):
        ColorJitter()(dict(img=image, img_path='i.png'))


def convolve(image, sigma):
    """Gaussian along rows and columns, borders mirrored about the edge pixels."""
    reach = math.ceil(3 * sigma)
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    image = image.astype(float)
    for axis in (0, 1):
        padded = np.pad(image, [(reach, reach) if axis == a else (0, 0) for a in range(3)], mode='reflect')
        image = sum(w * np.take(padded, np.arange(image.shape[axis]) + k, axis) for k, w in enumerate(weights))
    return image


@pytest.mark.parametrize('sigma', [0.1, 0.5, 1.0, 1.37, 2.0])
def test_blur(sigma):
    blurred = GaussianBlur((sigma, sigma))(dict(img=IMAGE))['img']
    assert blurred.dtype == np.uint8
    np.testing.assert_allclose(blurred, convolve(IMAGE, sigma), atol=1.5)  # OpenCV's weights have 8 bits


@pytest.mark.parametrize(('sigma', 'size'), [(0.3, 3), (0.5, 5), (1.0, 7), (1.01, 9), (2.0, 13)])
def test_size_of_the_kernel(sigma, size):
    impulse = np.zeros((21, 21), np.float32)
    impulse[10, 10] = 1
    blurred = GaussianBlur((sigma, sigma))(dict(img=impulse))['img']
    lines = (blurred > 0).any(axis=0).sum(), (blurred > 0).any(axis=1).sum()
    assert lines == (size, size)
    assert blurred.sum() == pytest.approx(1, abs=1e-5)


def test_hardly_any_blur_changes_nothing():
    np.testing.assert_array_equal(GaussianBlur((0.1, 0.1))(dict(img=IMAGE))['img'], IMAGE)


def test_draws_of_the_blur():
    transform = GaussianBlur((0.5, 1.5))
    values = np.array([transform._draw() for _ in range(1000)])
    assert 0.5 <= values.min() < 0.52
    assert 1.48 < values.max() <= 1.5
    assert (abs(np.histogram(values, 4, (0.5, 1.5))[0] - 250) < 60).all()


@pytest.mark.parametrize('sigma', [(0, 1), (2, 1), (1,), 1.0, (-1, 1), (0.1, float('inf'))])
def test_bad_sigma(sigma):
    with pytest.raises(ValueError, match='expected \\(least, greatest\\)'):
        GaussianBlur(sigma)


def test_registered():
    assert repr(TRANSFORMS.build(dict(type='ColorJitter', hue=0.2))) == (
        'ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.2)'
    )
    assert repr(TRANSFORMS.build(dict(type='GaussianBlur', sigma=[1, 2]))) == 'GaussianBlur(sigma=(1, 2))'
