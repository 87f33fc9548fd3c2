"""Evaluation at the network's size: same logits, no resizing after them, in whole and slide inference."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_textseg.datasets.transforms import EvaluateAtNetworkSize
from mmseg_textseg.evaluation import TextSegMetric

OWN, NETWORK = (50, 38), (40, 24)
RESIZE = dict(type='Resize', scale=NETWORK[::-1], keep_ratio=False)
MASK = dict(type='LoadMask')
NORM = dict(type='BN')
MODEL = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[100.0] * 3, std=[50.0] * 3, size_divisor=16, test_cfg=dict(size_divisor=16)
    ),
    backbone=dict(type='UNet', base_channels=4, norm_cfg=NORM, num_stages=2, strides=(1, 1))
    | dict(enc_num_convs=(1, 1), dec_num_convs=(1,), downsamples=(True,), enc_dilations=(1, 1), dec_dilations=(1,)),
    decode_head=dict(type='FCNHead', in_channels=4, in_index=1, channels=4, num_convs=0, concat_input=False)
    | dict(num_classes=2, norm_cfg=NORM, align_corners=False),
)
SLIDE = dict(mode='slide', crop_size=(32, 16), stride=(16, 8))


@pytest.fixture
def paths(tmp_path):
    """A picture and its mask, OWN pixels large."""
    rng = np.random.default_rng(3)
    picture = cv2.resize(rng.integers(0, 256, (6, 5, 3), np.uint8), OWN[::-1], interpolation=cv2.INTER_CUBIC)
    mask = np.zeros(OWN, np.uint8)
    mask[7:31, 5:20] = 255
    for name, content in (('image', picture), ('mask', mask)):
        cv2.imwrite(str(tmp_path / f'{name}.png'), content)
    return dict(img_path=str(tmp_path / 'image.png'), seg_map_path=str(tmp_path / 'mask.png'))


@pytest.fixture
def load(paths):
    def run(*steps, **more):
        init_default_scope('mmseg')
        names = [dict(type=step) if isinstance(step, str) else step for step in steps]
        pipeline = Compose([dict(type='LoadImageFromFile'), *names, dict(type='PackTextSegInputs')])
        return pipeline(dict(**paths, sample_id='a', seg_fields=[], **more))

    return run


@pytest.fixture
def model():
    def build(test_cfg):
        init_default_scope('mmseg')
        torch.manual_seed(3)
        made = MODELS.build(ConfigDict(MODEL, test_cfg=test_cfg)).eval()
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
        return made

    return build


def windows(made, inputs):
    """Logits of windows of 32 x 16 every 16 x 8 pixels, each pixel the mean of those that saw it."""
    total, seen = torch.zeros(1, 2, 48, 32), torch.zeros(1, 1, 48, 32)
    for y in (0, 16):
        for x in (0, 8, 16):
            total[..., y : y + 32, x : x + 16] += made(inputs[..., y : y + 32, x : x + 16], mode='tensor')
            seen[..., y : y + 32, x : x + 16] += 1
    return total / seen


@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_logits_are_those_of_the_network(model, load, mode):
    made = model(SLIDE if mode == 'slide' else dict(mode='whole'))
    item = load(RESIZE, MASK, 'EvaluateAtNetworkSize')
    with torch.no_grad():
        (found,) = made.test_step(pseudo_collate([item]))
        inputs = made.data_preprocessor(pseudo_collate([item]))['inputs']
        assert inputs.shape[-2:] == (48, 32), 'padded'
        expected = windows(made, inputs) if mode == 'slide' else made(inputs, mode='tensor')
        logits = expected[0, :, : NETWORK[0], : NETWORK[1]]
    assert found.seg_logits.data.shape == (2, *NETWORK)
    assert torch.allclose(found.seg_logits.data, logits, atol=1e-5)
    assert torch.equal(found.pred_sem_seg.data[0], logits.argmax(0))
    assert 0 < int(found.pred_sem_seg.data.sum()) < 40 * 24
    assert found.gt_sem_seg.data.shape == (1, *NETWORK)
    metric = TextSegMetric()
    metric.process({}, [found.to_dict()])
    assert sum(metric.results[0]['counts']) == 40 * 24


@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_without_it_the_picture_has_its_own_size(model, load, mode):
    made = model(SLIDE if mode == 'slide' else dict(mode='whole'))
    with torch.no_grad():
        (found,) = made.test_step(pseudo_collate([load(RESIZE, MASK)]))
    assert found.pred_sem_seg.data.shape == found.gt_sem_seg.data.shape == (1, *OWN)


def test_the_truth_is_resized_as_resize_does_it(load):
    after, before = load(RESIZE, MASK, 'EvaluateAtNetworkSize'), load(MASK, RESIZE, 'EvaluateAtNetworkSize')
    truths = [item['data_samples'].gt_sem_seg.data for item in (after, before)]
    assert torch.equal(*truths)
    assert truths[0].unique().tolist() == [0, 1]
    assert truths[0].float().mean() == pytest.approx(24 * 15 / (50 * 38), rel=0.1)
    assert after['data_samples'].ori_shape == NETWORK
    assert torch.equal(after['inputs'], load(RESIZE, MASK)['inputs']), 'the network sees what it saw'


@pytest.mark.parametrize('more', [dict(spacing=(0.8, 1.2)), dict(attributes=dict(spacing_mm='0.8, 1.2'))])
def test_spacing_grows_as_the_picture_shrinks(load, more):
    sample = load(RESIZE, MASK, 'EvaluateAtNetworkSize', **more)['data_samples']
    assert sample.spacing == pytest.approx((0.8 * 50 / 40, 1.2 * 38 / 24))
    assert 'spacing' not in load(RESIZE, MASK, 'EvaluateAtNetworkSize')['data_samples']


def test_pictures_without_masks_pass():
    results = dict(img=np.zeros((4, 6, 3), np.uint8), ori_shape=(8, 12))
    assert EvaluateAtNetworkSize().transform(results)['ori_shape'] == (4, 6)


def test_a_mask_of_neither_size_is_an_error():
    results = dict(
        img=np.zeros((4, 6, 3), np.uint8), ori_shape=(8, 12), gt_seg_map=np.zeros((5, 5), np.uint8), img_path='a.png'
    )
    with pytest.raises(ValueError, match=r'a\.png: picture 4 x 6, mask 5 x 5, original 8 x 12 .*put LoadMask last'):
        EvaluateAtNetworkSize().transform(results)
