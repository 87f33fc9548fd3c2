"""TextSegVisualizer: what it draws of a sample, and that every vis backend gets the picture."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmengine.visualization import BaseVisBackend, Visualizer
from mmseg.registry import HOOKS, VISBACKENDS, VISUALIZERS
from mmseg.structures import SegDataSample

from mmseg_textseg.evaluation.overlap import foreground_probability
from mmseg_textseg.visualization import TextSegVisualizer, panel


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@VISBACKENDS.register_module()
class RememberVisBackend(BaseVisBackend):
    """Keeps what it is given, as the backends of TensorBoard and W&B send it."""

    @property
    def experiment(self):
        return self

    def _init_env(self):
        self.pictures = []

    def add_image(self, name, image, step=0, **kwargs):
        self.pictures = [*getattr(self, 'pictures', []), (name, image, step)]


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


def sample(channels=2, text='the lesion', **changes) -> SegDataSample:
    logits = torch.randn(channels, 60, 80)
    truth = torch.zeros(1, 60, 80, dtype=torch.uint8)
    truth[:, 10:30, 10:30] = 1
    made = SegDataSample(metainfo={} if text is None else dict(text=text))
    made.gt_sem_seg = PixelData(data=truth)
    made.pred_sem_seg = PixelData(data=torch.roll(truth, 5, 2).long())
    made.seg_logits = PixelData(data=logits.sigmoid() if channels == 1 else logits)
    for key, value in changes.items():
        setattr(made, key, value)
    return made


@pytest.fixture
def visualizer(tmp_path) -> TextSegVisualizer:
    backends = [dict(type='LocalVisBackend'), dict(type='RememberVisBackend')]
    cfg = dict(type='TextSegVisualizer', vis_backends=backends, save_dir=str(tmp_path), name=str(tmp_path), side=100)
    return VISUALIZERS.build(cfg)


def test_every_backend_gets_the_picture(visualizer, image, tmp_path):
    drawn = sample()
    visualizer.add_datasample('val_a', image, drawn, step=7)
    expected = panel(
        image,
        'the lesion',
        drawn.gt_sem_seg.data[0].numpy(),
        drawn.pred_sem_seg.data[0].numpy(),
        drawn.seg_logits.data.softmax(0)[1].numpy(),
        side=100,
    )
    ((name, picture, step),) = visualizer.get_backend('RememberVisBackend').pictures
    assert (name, step) == ('val_a', 7)
    assert np.array_equal(picture, expected)
    written = cv2.imread(str(tmp_path / 'vis_data' / 'vis_image' / 'val_a_7.png'))
    assert np.array_equal(written[..., ::-1], expected)


def test_tensorboard_gets_the_picture(image, tmp_path):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    backends = [dict(type='TensorboardVisBackend')]
    visualizer = TextSegVisualizer(str(tmp_path), vis_backends=backends, save_dir=str(tmp_path), side=100)
    visualizer.add_datasample('val_a', image, sample(), step=3)
    visualizer.close()
    events = EventAccumulator(str(tmp_path / 'vis_data'))
    events.Reload()
    (event,) = events.Images('val_a')
    assert event.step == 3
    assert event.width == visualizer.draw(image, sample()).shape[1]


def test_out_file_is_written_instead(visualizer, image, tmp_path):
    visualizer.add_datasample('a', image, sample(), out_file=str(tmp_path / 'new' / 'a.png'))
    assert np.array_equal(cv2.imread(str(tmp_path / 'new' / 'a.png')).shape, visualizer.draw(image, sample()).shape)
    assert not hasattr(visualizer.get_backend('RememberVisBackend'), 'pictures')


def test_mmsegs_inferencer_finds_the_picture(visualizer, image):
    # As mmseg.apis does: words of its own, then get_image().
    visualizer.set_dataset_meta(classes=('background', 'lesion'), palette=[[0, 0, 0], [9, 9, 9]])
    visualizer.add_datasample('a', image, sample(), with_labels=False, show=False, wait_time=0)
    drawn = visualizer.draw(image, sample())
    assert visualizer.get_image().shape == drawn.shape
    assert Visualizer.get_instance(visualizer.instance_name) is visualizer


def test_the_stock_hook_draws_with_it(visualizer, image, tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), image[..., ::-1])
    drawn = sample()
    drawn.set_metainfo(dict(img_path=str(tmp_path / 'a.png')))
    hook = HOOKS.build(dict(type='SegVisualizationHook', draw=True, interval=1))
    hook.after_test_iter(SimpleNamespace(iter=0), 0, None, [drawn])
    ((name, picture, _),) = visualizer.get_backend('RememberVisBackend').pictures
    assert name == 'test_a.png'
    assert np.array_equal(picture, visualizer.draw(image, drawn))


@pytest.mark.parametrize('options', [dict(draw_gt=False), dict(draw_pred=False), dict(draw_gt=False, draw_pred=False)])
def test_parts_can_be_left_out(visualizer, image, options):
    count = 1 + options.get('draw_gt', True) + 2 * options.get('draw_pred', True)
    assert visualizer.draw(image, sample(), **options).shape[1] == count * 112 + (count - 1) * 4


@pytest.mark.parametrize('channels', [1, 2, 4])
@pytest.mark.parametrize('text', ['the lesion', None])
def test_heads_of_any_number_of_channels_with_and_without_text(visualizer, image, channels, text):
    page = visualizer.draw(image, sample(channels, text))
    assert page.shape[1] == 5 * 112 + 4 * 4
    fewer = [visualizer.draw(image, sample(channels, text)), visualizer.draw(image, sample(channels, 'a ' * 200))]
    assert fewer[1].shape[0] > fewer[0].shape[0]


def test_a_picture_alone_and_one_without_truth(visualizer, image):
    assert visualizer.draw(image).shape[1] == 112
    untrue = sample()
    del untrue.gt_sem_seg
    assert visualizer.draw(image, untrue).shape[1] == 3 * 112 + 2 * 4


def test_masks_of_the_networks_size(visualizer, image):
    small = sample()
    for key in ('gt_sem_seg', 'pred_sem_seg', 'seg_logits'):
        data = small.get(key).data[:, ::2, ::2]
        small.set_field(PixelData(data=data), key, dtype=PixelData)
    assert visualizer.draw(image, small).shape[1] == 5 * 112 + 4 * 4


def test_probability_of_the_foreground():
    one = torch.rand(1, 3, 4)
    assert torch.equal(foreground_probability(one), one[0])
    two = torch.randn(2, 3, 4)
    torch.testing.assert_close(foreground_probability(two), torch.sigmoid(two[1] - two[0]))
    many = torch.randn(5, 3, 4).half()
    expected = 1 - many.float().exp()[0] / many.float().exp().sum(0)
    torch.testing.assert_close(foreground_probability(many), expected)
