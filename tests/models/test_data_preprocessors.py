"""TwoViewDataPreProcessor: from packed samples to two batches."""

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmseg.registry import MODELS

from mmseg_textseg.datasets import PackTextSegInputs, PackViews
from mmseg_textseg.models.data_preprocessors import TwoViewDataPreProcessor

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]  # of red, green, blue


def make_views(height, width, seed=0):
    return list(np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8))


def make_sample(views, ids=(2, 5, 3), **more):
    shape = views[0].shape[:2]
    results = dict(views=views, img_path='i.png', ori_shape=shape, img_shape=shape, text='a dog', **more)
    return PackViews()(dict(results, text_ids=np.array(ids), text_mask=np.ones(len(ids), bool)))


def normalise(view, size=None):
    """By hand: blue, green, red to red, green, blue; channels first; zeros to the right and below."""
    values = (view[..., ::-1].astype(np.float64) - MEAN) / STD
    height, width = size or view.shape[:2]
    padded = np.zeros((3, height, width))
    padded[:, : view.shape[0], : view.shape[1]] = values.transpose(2, 0, 1)
    return padded


def build(**options):
    return MODELS.build(dict(type='TwoViewDataPreProcessor', mean=MEAN, std=STD, bgr_to_rgb=True, **options))


@pytest.mark.parametrize(
    ('options', 'training', 'shapes', 'size'),
    [
        (dict(size=(8, 8)), True, [(8, 8), (8, 8)], (8, 8)),
        (dict(size=(8, 9)), True, [(8, 5), (6, 9)], (8, 9)),
        (dict(size=(12, 11)), True, [(8, 5), (6, 9)], (12, 11)),
        (dict(size_divisor=1), True, [(8, 5), (6, 9)], (8, 9)),
        (dict(size_divisor=8), True, [(8, 5), (6, 9)], (8, 16)),
        (dict(size=(12, 12)), False, [(8, 5), (8, 5)], (8, 5)),
        (dict(test_cfg=dict(size_divisor=8)), False, [(8, 5), (8, 5)], (8, 8)),
    ],
)
def test_both_views_are_normalised_and_padded_alike(options, training, shapes, size):
    views = [make_views(*shape, seed) for seed, shape in enumerate(shapes)]
    batch = pseudo_collate([make_sample(views[0]), make_sample(views[1], ids=(2, 6, 6, 7, 3))])
    data = build(**options)(batch, training)
    assert data.keys() == {'inputs', 'data_samples'}
    assert isinstance(data['inputs'], list)
    for index, got in enumerate(data['inputs']):
        assert (got.shape, got.dtype) == ((2, 3, *size), torch.float32)
        np.testing.assert_allclose(got, [normalise(pair[index], size) for pair in views], atol=1e-5)
    samples = data['data_samples']
    assert [sample.text_ids.tolist() for sample in samples] == [[2, 5, 3], [2, 6, 6, 7, 3]]
    assert [tuple(sample.img_shape) for sample in samples] == shapes
    assert [sample.text for sample in samples] == ['a dog'] * 2


def test_masks_are_padded_once():
    mask = np.ones((6, 5), np.uint8)
    batch = pseudo_collate([make_sample(make_views(6, 5), gt_seg_map=mask) for _ in range(2)])
    for sample in build(size=(8, 8))(batch, True)['data_samples']:
        assert sample.gt_sem_seg.shape == (8, 8)
        assert (sample.gt_sem_seg.data == 1).sum() == 30
        assert (sample.gt_sem_seg.data == 255).sum() == 34


def test_the_batch_it_gets_is_left_alone():
    batch = pseudo_collate([make_sample(make_views(6, 5)) for _ in range(2)])
    before = [[image.clone() for image in view] for view in batch['inputs']]
    build(size=(8, 8))(batch, True)
    assert len(batch['data_samples']) == 2
    assert 'padding_size' not in batch['data_samples'][0]
    for view, old in zip(batch['inputs'], before, strict=True):
        assert all(torch.equal(*pair) for pair in zip(view, old, strict=True))


@pytest.mark.parametrize('samples', [{}, dict(data_samples=None)])
def test_without_samples(samples):
    inputs = pseudo_collate([make_sample(make_views(6, 5))])['inputs']
    data = build()(dict(inputs=inputs, **samples))
    assert [view.shape for view in data['inputs']] == [(1, 3, 6, 5)] * 2
    assert data['data_samples'] is None


def test_device():
    batch = pseudo_collate([make_sample(make_views(6, 5)) for _ in range(2)])
    data = build(size=(8, 8)).to('meta')(batch, True)
    assert {view.device.type for view in data['inputs']} == {'meta'}
    assert data['data_samples'][1].text_ids.device.type == 'meta'


def test_sizes_that_do_not_fit_are_an_error():
    batch = pseudo_collate([make_sample(make_views(8, 5)), make_sample(make_views(6, 9))])
    with pytest.raises(AssertionError, match='image size in a batch should be the same'):
        build()(batch, False)
    with pytest.raises(AssertionError, match='only one of size and size_divisor'):
        build()(batch, True)


def pack_one(view):
    return PackTextSegInputs()(dict(img=view))


def test_batches_that_hold_no_two_views():
    view = make_views(6, 5)[0]
    for count in (1, 2, 3):
        batch = pseudo_collate([pack_one(view)] * count)
        with pytest.raises(ValueError, match=r'expected two lists of images: pack with PackViews'):
            TwoViewDataPreProcessor(size=(8, 8))(batch, True)
    image = torch.zeros(3, 6, 5)
    with pytest.raises(ValueError, match='2 images in one view and 1 in the other'):
        TwoViewDataPreProcessor()(dict(inputs=[[image, image], [image]]))
    with pytest.raises(ValueError, match='expected two lists'):
        TwoViewDataPreProcessor()(dict(inputs=[[image], [image], [image]]))
