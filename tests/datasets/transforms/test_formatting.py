"""PackTextSegInputs, up to what the model gets."""

import pickle

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmseg.datasets.transforms import PackSegInputs
from mmseg.models import SegDataPreProcessor

from mmseg_textseg.datasets import PackTextSegInputs
from mmseg_textseg.datasets.transforms.formatting import channels_first


def make_results(**changes):
    return {
        'img': np.zeros((4, 5, 3), np.uint8),
        'gt_seg_map': np.ones((4, 5), np.uint8),
        'img_path': 'i.png',
        'ori_shape': (4, 5),
        'img_shape': (4, 5),
        'text': 'one node',
        'sample_id': 'i-0',
        'attributes': {'side': 'left'},
        'text_ids': np.array([101, 7, 102, 0], np.int32),
        'text_mask': np.array([1, 1, 1, 0]),
        **changes,
    }


def test_text_fields():
    sample = PackTextSegInputs()(make_results())['data_samples']
    assert (sample.text_ids.dtype, sample.text_ids.tolist()) == (torch.int64, [101, 7, 102, 0])
    assert (sample.text_mask.dtype, sample.text_mask.tolist()) == (torch.bool, [True, True, True, False])
    assert {'text_ids', 'text_mask'} <= set(sample.keys())
    assert (sample.metainfo['text'], sample.metainfo['sample_id']) == ('one node', 'i-0')
    assert sample.metainfo['attributes'] == {'side': 'left'}


def test_the_rest_is_as_in_mmsegmentation():
    ours, theirs = PackTextSegInputs()(make_results()), PackSegInputs()(make_results())
    assert torch.equal(ours['inputs'], theirs['inputs'])
    assert torch.equal(ours['data_samples'].gt_sem_seg.data, theirs['data_samples'].gt_sem_seg.data)
    assert theirs['data_samples'].metainfo.items() <= ours['data_samples'].metainfo.items()


def test_without_text():
    results = make_results()
    for key in ('text', 'sample_id', 'attributes', 'text_ids', 'text_mask'):
        del results[key]
    sample = PackTextSegInputs()(results)['data_samples']
    assert 'text' not in sample
    assert 'text_ids' not in sample


def test_the_packed_ids_are_a_copy():
    results = make_results(text_ids=np.array([1, 2, 3, 4]), text_mask=np.ones(4, bool))
    sample = PackTextSegInputs()(results)['data_samples']
    results['text_ids'][:] = 0
    assert sample.text_ids.tolist() == [1, 2, 3, 4]


def test_other_meta_keys_keep_the_text():
    sample = PackTextSegInputs(meta_keys=('img_path',))(make_results())['data_samples']
    assert set(sample.metainfo_keys()) == {'img_path', 'text', 'sample_id', 'attributes'}


def test_pickle_move_and_clone():
    sample = PackTextSegInputs()(make_results())['data_samples']
    for copy in (pickle.loads(pickle.dumps(sample)), sample.clone(), sample.cpu()):
        assert torch.equal(copy.text_ids, sample.text_ids)
        assert copy.text == 'one node'
    moved = sample.to('meta')
    assert (moved.text_ids.device.type, moved.text_mask.device.type) == ('meta', 'meta')
    assert moved.gt_sem_seg.data.device.type == 'meta'


def test_collate_and_preprocess():
    """Sentences of different length pass through a batch; padding of the image leaves them alone."""
    pack = PackTextSegInputs()
    short = make_results(text_ids=[5], text_mask=[True], text='node', img=np.zeros((3, 5, 3), np.uint8))
    short['gt_seg_map'] = np.ones((3, 5), np.uint8)
    batch = pseudo_collate([pack(make_results()), pack(short)])
    data = SegDataPreProcessor(size=(8, 8), seg_pad_val=255)(batch, training=True)
    assert data['inputs'].shape == (2, 3, 8, 8)
    first, second = data['data_samples']
    assert (first.text_ids.tolist(), second.text_ids.tolist()) == ([101, 7, 102, 0], [5])
    assert (first.text, second.text) == ('one node', 'node')
    assert second.gt_sem_seg.data.shape == (1, 8, 8)


@pytest.mark.parametrize(
    'changes',
    [
        dict(text_ids=None),
        dict(text_mask=None),
        dict(text_ids=np.ones((1, 4), int), text_mask=np.ones((1, 4), bool)),
        dict(text_mask=np.ones(3, bool)),
    ],
)
def test_ids_and_mask_belong_together(changes):
    with pytest.raises(ValueError, match=r'i\.png: text_ids has shape'):
        PackTextSegInputs()(make_results(**changes))


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int64, np.float32])
@pytest.mark.parametrize('channels', [1, 3, 4])
@pytest.mark.parametrize(
    'view',
    [lambda a: a, lambda a: a[:, ::-1], lambda a: a[::-1], lambda a: a[1:4, 2:], lambda a: a.swapaxes(0, 1)],
    ids=['whole', 'mirrored', 'upside-down', 'cropped', 'transposed'],
)
def test_channels_first(dtype, channels, view):
    image = view(np.random.default_rng(0).integers(0, 256, (5, 7, channels)).astype(dtype))
    tensor = channels_first(image)
    assert tensor.is_contiguous()
    assert (tensor.numpy() == np.moveaxis(image, 2, 0)).all()
    assert tensor.numpy().dtype == dtype
    assert not np.shares_memory(tensor.numpy(), image)


@pytest.mark.parametrize('shape', [(4, 5), (4, 5, 1), (4, 5, 3)])
@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_any_picture_is_packed_as_in_mmsegmentation(shape, dtype):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    ours, theirs = (pack()(make_results(img=image)) for pack in (PackTextSegInputs, PackSegInputs))
    assert list(ours) == list(theirs)
    assert ours['inputs'].dtype == theirs['inputs'].dtype
    assert torch.equal(ours['inputs'], theirs['inputs'])
