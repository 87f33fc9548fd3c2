import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.registry import DefaultScope
from mmseg.registry import TRANSFORMS

from mmseg_textseg.datasets.transforms import HideMask


def item(i, **more):
    return dict(img=np.zeros((4, 6, 3), np.uint8), img_path=f'/data/images/{i}.png', **more)


def masked(i):
    return item(i, gt_seg_map=np.ones((4, 6), np.uint8), seg_fields=['gt_seg_map'])


def hidden(transform, numbers):
    return {i for i in numbers if (transform(masked(i))['gt_seg_map'] == 255).all()}


def test_hides_what_is_there_and_makes_what_is_not():
    for results in (HideMask()(masked(0)), HideMask()(item(0))):
        mask = results['gt_seg_map']
        assert (mask.shape, mask.dtype) == ((4, 6), np.uint8)
        assert (mask == 255).all()
        assert results['seg_fields'] == ['gt_seg_map']
    assert (HideMask(ignore_index=7)(item(0))['gt_seg_map'] == 7).all()


def test_a_share_of_the_images_always_the_same():
    few, other = hidden(HideMask(0.25), range(2000)), hidden(HideMask(0.25, seed=1), range(2000))
    assert 430 < len(few) < 570
    assert hidden(HideMask(0.25), range(2000)) == few
    assert len(few & other) < 200, 'another seed, other images'
    assert few < hidden(HideMask(0.5), range(2000)), 'fewer labels are a part of more'
    assert hidden(HideMask(0), range(50)) == set()


def test_the_folder_and_the_sentence_do_not_matter():
    transform = HideMask(0.5)
    for i in range(40):
        elsewhere = {**masked(i), 'img_path': f'other/{i}.png', 'text': 'another'}
        assert (transform(masked(i))['gt_seg_map'] == transform(elsewhere)['gt_seg_map']).all()


def test_in_a_pipeline_before_resize():
    with DefaultScope.overwrite_default_scope('mmseg'):
        steps = Compose([TRANSFORMS.build(dict(type='HideMask')), dict(type='Resize', scale=(12, 8), keep_ratio=False)])
        results = steps(item(0))
    assert results['gt_seg_map'].shape == (8, 12)
    assert (results['gt_seg_map'] == 255).all()


@pytest.mark.parametrize('share', [-0.1, 1.5])
def test_bad_share(share):
    with pytest.raises(ValueError, match='expected the share'):
        HideMask(share)
