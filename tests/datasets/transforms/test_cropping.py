"""GuardedRandomCrop: crops that keep all foreground, whole pictures where a crop would make the sentence false."""

import cv2
import numpy as np
import pytest
from mmseg.registry import TRANSFORMS

from mmseg_textseg.datasets import GuardedRandomCrop

PLAIN = 'the round cyst with a clear boundary'


def sample(mask, text=PLAIN, **changes):
    """Results whose image tells each pixel's row and column."""
    height, width = mask.shape
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(height)[:, None], np.arange(width)
    return {'img': image, 'img_shape': (height, width), 'gt_seg_map': mask, 'seg_fields': ['gt_seg_map'], **changes} | (
        {'text': text} if text else {}
    )


def mask_of(*boxes, size=(40, 60)):
    mask = np.zeros(size, np.uint8)
    for number, (y1, y2, x1, x2) in enumerate(boxes, 1):
        mask[y1:y2, x1:x2] = number
    return mask


@pytest.mark.parametrize(
    'boxes', [[(18, 24, 30, 41)], [(0, 1, 59, 60)], [(39, 40, 0, 1)], [(3, 9, 20, 26), (12, 20, 30, 36)]]
)
def test_crops_hold_all_foreground_and_reach_every_place_that_does(boxes):
    mask, crop = mask_of(*boxes), GuardedRandomCrop((20, 24))
    rows, columns = np.nonzero(mask)
    seen = set()
    np.random.seed(0)  # noqa: NPY002
    for _ in range(600):
        results = crop(sample(mask.copy()))
        y, x = results['img'][0, 0, :2]
        seen.add((int(y), int(x)))
        assert results['img'].shape == (20, 24, 3)
        assert results['img_shape'] == results['gt_seg_map'].shape == (20, 24)
        assert np.array_equal(results['gt_seg_map'], mask[y : y + 20, x : x + 24])
        assert np.array_equal(results['img'][..., 0], np.arange(y, y + 20)[:, None] + np.zeros(24, int))
        assert np.bincount(results['gt_seg_map'].ravel())[1:].sum() == len(rows)
    # Of all crops, those with the first and the last foreground line inside.
    ys = [y for y in range(21) if y <= rows.min() and y + 20 > rows.max()]
    xs = [x for x in range(37) if x <= columns.min() and x + 24 > columns.max()]
    assert {y for y, _ in seen} == set(ys)
    assert {x for _, x in seen} == set(xs)


def test_without_foreground_any_crop_will_do():
    mask = mask_of((0, 40, 0, 60)) * 255  # all of it to be ignored
    np.random.seed(0)  # noqa: NPY002
    seen = {tuple(GuardedRandomCrop(20)(sample(mask.copy()))['img'][0, 0, :2].tolist()) for _ in range(400)}
    assert {y for y, _ in seen} == set(range(21))
    assert {x for _, x in seen} == set(range(41))


@pytest.mark.parametrize(
    ('text', 'boxes', 'size'),
    [
        ('the cyst on the left', [(18, 24, 30, 41)], (40, 60)),
        ('a cyst in segment VI', [(18, 24, 30, 41)], (40, 60)),
        ('the man right in the blue shirt', [(18, 24, 30, 41)], (40, 60)),  # may speak of a side
        (PLAIN, [(2, 6, 2, 6), (2, 6, 40, 44)], (40, 60)),  # wider than a crop
        (PLAIN, [(2, 6, 2, 6)], (16, 60)),  # picture less high than a crop
    ],
)
def test_where_a_crop_would_not_do_the_whole_picture_is_resized(text, boxes, size):
    mask = mask_of(*boxes, size=size)
    results = GuardedRandomCrop((20, 24))(sample(mask, text))
    assert np.array_equal(results['gt_seg_map'], cv2.resize(mask, (24, 20), interpolation=cv2.INTER_NEAREST))
    assert results['img_shape'] == results['img'].shape[:2] == (20, 24)
    assert results['img'][:, -1, 1].min() >= 57, 'the last column is the last of the picture'


def test_further_anatomy_and_several_sentences():
    mask = mask_of((18, 24, 30, 41))
    several = dict(text=None, texts=[PLAIN, 'the upper one'])
    assert GuardedRandomCrop((20, 24))(sample(mask, **several))['img'][0, -1, 1] >= 57
    assert GuardedRandomCrop((20, 24))(sample(mask, text=None, texts=[PLAIN]))['img'][0, -1, 1] < 57


@pytest.mark.parametrize('size', [(7, 9), (20, 24), (13, 31)])
def test_no_part_of_a_mask_is_lost_by_resizing(size):
    rng = np.random.default_rng(0)
    for _ in range(30):
        mask = np.zeros((40, 60), np.uint8)
        spots = rng.integers(5, size=(3, 2)) * (8, 12)  # far enough apart for a pixel each
        for label, (y, x) in enumerate(spots, 1):
            mask[y, x] = label
        results = GuardedRandomCrop(size)(sample(mask.copy(), 'the spots on the left'))
        small = results['gt_seg_map']
        assert set(np.unique(mask)) == set(np.unique(small))
        for label in np.unique(mask[mask > 0]):
            (y, x), found = np.argwhere(mask == label)[0], np.argwhere(small == label)
            scale = np.array(size) / mask.shape
            assert np.abs(found - np.array([y, x]) * scale).max() <= 1, 'each where it was, to a pixel'


def test_two_spots_of_one_label_stay_two():
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, 10:20] = mask[31, 47] = 1
    small = GuardedRandomCrop((20, 24))(sample(mask, 'the lower and the upper one'))['gt_seg_map']
    assert cv2.connectedComponents(small)[0] == 3
    assert small[15, 18] == 1
    small[15, 18] = 0
    assert np.array_equal(small > 0, cv2.resize(mask, (24, 20), interpolation=cv2.INTER_NEAREST) > 0), (
        'and nothing else'
    )


def test_what_is_missing_or_wrong():
    crop, results = GuardedRandomCrop(20), sample(mask_of((1, 2, 1, 2)), img_path='a.png')
    with pytest.raises(KeyError, match=r'mask of a\.png: put it after LoadMask'):
        crop({key: value for key, value in results.items() if key != 'gt_seg_map'})
    with pytest.raises(KeyError, match=r'expression under the key "text" or "texts", for a\.png'):
        crop({key: value for key, value in results.items() if key != 'text'})
    with pytest.raises(ValueError, match="anatomy is 'carina'; expected a list of words"):
        GuardedRandomCrop(20, anatomy='carina')


def test_built_by_name():
    crop = TRANSFORMS.build(dict(type='GuardedRandomCrop', crop_size=(20, 24), anatomy=['Carina']))
    assert isinstance(crop, GuardedRandomCrop)
    assert repr(crop) == "GuardedRandomCrop(crop_size=(20, 24), ignore_index=255, anatomy=('carina',))"


def test_all_parts_of_one_label_stay():
    rng = np.random.default_rng(1)
    for _ in range(20):
        mask = np.zeros((40, 60), np.uint8)
        spots = [(y * 8 + 3, x * 12 + 5) for y, x in rng.permutation(25)[:7, None] // [5, 1] % 5]
        for y, x in spots:
            mask[y, x] = 1
        mask[21:26, 50:58] = 1  # one that is large enough
        small = GuardedRandomCrop((10, 12))(sample(mask, 'the spots on the left'))['gt_seg_map']
        for y, x in spots:
            assert small[y // 4, x // 5] == 1
        assert small.sum() <= 7 + 3 * 3
