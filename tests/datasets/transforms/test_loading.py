"""LoadMask: every way to save the same mask gives the same array."""

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from mmseg_textseg.datasets import LoadMask

MASK = np.array([[0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1]], np.uint8)


def palette(indices, *colours):
    picture = Image.fromarray(indices.astype(np.uint8), mode='P')
    picture.putpalette([channel for colour in colours for channel in colour])
    return picture


def colour(value, channels=3, channel=0, alpha=None, dtype=np.uint8):
    values = np.zeros((*MASK.shape, channels), dtype)
    values[..., channel] = MASK.astype(dtype) * value
    if alpha is not None:
        values[..., -1] = alpha
    return values


def save(path, values):
    if isinstance(values, Image.Image):
        values.save(path)
    else:
        assert cv2.imwrite(str(path), values)
    return dict(seg_map_path=str(path), seg_fields=[])


@pytest.mark.parametrize(
    ('name', 'values'),
    [
        ('m.png', MASK),
        ('m.png', MASK * 255),
        ('m.bmp', MASK * 255),
        ('m.tif', MASK * 255),
        ('m.tif', MASK.astype(np.float32)),
        ('m.png', MASK.astype(np.uint16)),
        ('m.png', MASK.astype(np.uint16) * 65535),
        ('m.tif', MASK.astype(np.uint16) * 300),
        ('m.png', Image.fromarray(MASK.astype(bool))),
        ('m.tif', Image.fromarray(MASK.astype(bool))),
        ('m.gif', Image.fromarray(MASK * 255)),
        ('m.png', colour(255, channel=0)),
        ('m.png', colour(1, channel=2)),
        ('m.png', colour(1, channel=1, dtype=np.uint16)),
        ('m.png', colour(255, channels=4, alpha=255)),
        ('m.png', colour(1, channels=4, alpha=0)),
        ('m.png', Image.merge('LA', [Image.fromarray(MASK), Image.new('L', (4, 3), 255)])),
        ('m.png', palette(MASK, (0, 0, 0), (128, 0, 0))),
        ('m.png', palette(MASK * 3, (0, 0, 0), (1, 1, 1), (9, 9, 9), (0, 0, 1))),
    ],
)
def test_ways_to_save_a_mask(tmp_path, name, values):
    results = LoadMask()(save(tmp_path / name, values))
    assert results['gt_seg_map'].dtype == np.uint8
    np.testing.assert_array_equal(results['gt_seg_map'], MASK)
    assert results['seg_fields'] == ['gt_seg_map']


@pytest.mark.parametrize(
    ('threshold', 'expected'), [(1, [0, 1, 1, 1]), (2, [0, 0, 1, 1]), (128, [0, 0, 0, 1]), (0.5, [0, 1, 1, 1])]
)
def test_threshold_is_the_least_foreground(tmp_path, threshold, expected):
    values = np.array([[0, 1, 127, 128]], np.uint8)
    results = LoadMask(threshold=threshold)(save(tmp_path / 'm.png', values))
    assert results['gt_seg_map'].tolist() == [expected]


def test_jpg_noise_is_left_out_by_the_threshold(tmp_path):
    mask = np.zeros((32, 32), np.uint8)
    mask[8:24, 8:24] = 1
    results = save(tmp_path / 'm.jpg', mask * 255)
    np.testing.assert_array_equal(LoadMask(threshold=128)(results)['gt_seg_map'], mask)


def test_empty_mask_is_legal(tmp_path):
    assert not LoadMask()(save(tmp_path / 'm.png', MASK * 0))['gt_seg_map'].any()


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        (palette(MASK, (255, 255, 255), (0, 0, 0)), 'palette'),
        (palette(MASK * 2, (0, 0, 0), (9, 9, 9), (0, 0, 0)), 'palette'),
        (colour(255, channels=4, channel=3), 'transparency only'),
    ],
    ids=['white-is-0', 'black-is-2', 'alpha-only'],
)
def test_masks_that_could_mean_either(tmp_path, values, expected):
    with pytest.raises(ValueError, match=rf'm\.png.*{expected}.*save it as a grey png'):
        LoadMask()(save(tmp_path / 'm.png', values))


def test_files_that_are_no_mask(tmp_path):
    (tmp_path / 'm.png').write_bytes(b'no picture')
    with pytest.raises(ValueError, match=r'm\.png is not a picture'):
        LoadMask()(dict(seg_map_path=str(tmp_path / 'm.png')))
    with pytest.raises(FileNotFoundError, match=r'none\.png'):
        LoadMask()(dict(seg_map_path=str(tmp_path / 'none.png')))
    pages = [Image.fromarray(MASK * 255), Image.fromarray(MASK)]
    pages[0].save(tmp_path / 'm.tif', save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match=r'm\.tif has 2 pages'):
        LoadMask()(dict(seg_map_path=str(tmp_path / 'm.tif')))


def test_size_is_compared_with_the_image_before_resize(tmp_path):
    results = save(tmp_path / 'm.png', MASK)
    results.update(img_path='i.png', ori_shape=(3, 4), img_shape=(6, 8))  # a test pipeline, after Resize
    assert LoadMask()(results)['gt_seg_map'].shape == (3, 4)
    results.update(ori_shape=(4, 3))
    with pytest.raises(ValueError, match=r'm\.png is 3 x 4 .*i\.png is 4 x 3'):
        LoadMask()(results)


@pytest.mark.parametrize('wish', [dict(reduce_zero_label=True), dict(label_map={0: 255, 1: 0})])
def test_relabelling_is_refused(tmp_path, wish):
    with pytest.raises(ValueError, match='cannot relabel'):
        LoadMask()({**save(tmp_path / 'm.png', MASK), **wish})


def test_threshold_above_zero():
    with pytest.raises(ValueError, match='more than 0'):
        LoadMask(threshold=0)


@pytest.mark.parametrize('name', ['i.png', 'i.tif'])
def test_mmcv_loads_grey_images_as_three_channels(tmp_path, name):
    """What the datasets rely on."""
    save(tmp_path / name, MASK * 255)
    image = LoadImageFromFile()(dict(img_path=str(tmp_path / name)))['img']
    assert image.shape == (3, 4, 3)
    np.testing.assert_array_equal(image, np.repeat(MASK[..., None] * 255, 3, axis=2))


@pytest.mark.parametrize('values', [MASK * 255, MASK.astype(np.uint16) * 300, colour(255), colour(9, 4, 1, alpha=7)])
def test_a_plain_png_is_opened_once(tmp_path, monkeypatch, values):
    monkeypatch.delattr('PIL.Image.open')
    np.testing.assert_array_equal(LoadMask()(save(tmp_path / 'm.png', values))['gt_seg_map'], MASK)
    with pytest.raises(AttributeError):  # Pillow knows of palettes
        LoadMask()(save(tmp_path / 'p.png', palette(MASK, (0, 0, 0), (9, 9, 9))))


def test_an_animated_png_has_pages(tmp_path):
    pages = [Image.fromarray(MASK * 255), Image.fromarray(255 - MASK)]
    pages[0].save(tmp_path / 'm.png', save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match=r'm\.png has 2 pages'):
        LoadMask()(dict(seg_map_path=str(tmp_path / 'm.png')))


def test_a_png_cut_short_is_named(tmp_path):
    whole = save(tmp_path / 'm.png', np.random.default_rng(0).integers(0, 2, (64, 64), dtype=np.uint8))
    content = (tmp_path / 'm.png').read_bytes()
    (tmp_path / 'm.png').write_bytes(content[:20])
    with pytest.raises(ValueError, match=r'm\.png is not a picture'):
        LoadMask()(whole)


def test_the_mask_may_be_written_to(tmp_path):
    mask = LoadMask()(save(tmp_path / 'm.png', colour(255)))['gt_seg_map']
    mask[:] = 7
    assert (mask == 7).all()
