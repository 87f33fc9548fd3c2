"""Which items the hook draws, under which names, and that it loads pictures as the dataset does."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import ConcatDataset
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from mmseg.registry import HOOKS, TRANSFORMS
from mmseg.structures import SegDataSample

from mmseg_textseg.datasets import TextSegDataset
from mmseg_textseg.visualization import image_loader, load_picture


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


class Recorder(Visualizer):
    """Notes what is to be drawn."""

    def __init__(self, name='recorder', **kwargs):
        super().__init__(name, **kwargs)
        self.drawn = []

    def add_datasample(self, name, image, data_sample=None, step=0, **options):
        self.drawn.append((name, image, step))


@pytest.fixture
def folder(tmp_path):
    rows = ['image,expression']
    for number in range(5):
        cv2.imwrite(str(tmp_path / f'{number}.png'), np.full((6, 8, 3), (number, 100, 200), np.uint8))  # BGR
        rows.append(f'{number}.png,lesion {number}')
    (tmp_path / 'table.csv').write_text('\n'.join(rows))
    return tmp_path


def dataset(folder, **step) -> TextSegDataset:
    pipeline = [dict(type='LoadImageFromFile', **step), dict(type='PackTextSegInputs')]
    prefix = dict(img_path='')
    return TextSegDataset('table.csv', data_root=str(folder), data_prefix=prefix, pipeline=pipeline, test_mode=True)


@pytest.fixture
def hook(tmp_path):
    def make(**options):
        Recorder.get_instance(str(tmp_path))
        return HOOKS.build(dict(type='TextSegVisualizationHook', **options))

    return make


def run(hook, data, batch_size=2, stage='val', iteration=40) -> list:
    loader = SimpleNamespace(dataset=data, batch_size=batch_size)
    runner = SimpleNamespace(val_dataloader=loader, test_dataloader=loader, iter=iteration)
    samples = [data[i]['data_samples'] for i in range(len(data))]
    for number, start in enumerate(range(0, len(samples), batch_size)):
        getattr(hook, f'after_{stage}_iter')(runner, number, None, samples[start : start + batch_size])
    return hook._visualizer.drawn


@pytest.mark.parametrize('stage', ['val', 'test'])
def test_every_intervalth_item_is_drawn(hook, folder, stage):
    drawn = run(hook(draw=True, interval=2), dataset(folder), batch_size=3, stage=stage)
    assert [name for name, _, _ in drawn] == [f'{stage}_{number}-0' for number in (0, 2, 4)]
    assert {step for _, _, step in drawn} == {40}
    for number, (_, image, _) in zip((0, 2, 4), drawn, strict=True):
        assert np.array_equal(image, np.full((6, 8, 3), (200, 100, number))), 'RGB'


def test_the_same_items_at_each_validation(hook, folder):
    made, data = hook(draw=True, interval=3), dataset(folder)
    run(made, data, iteration=10)
    drawn = run(made, data, iteration=20)
    assert [(name, step) for name, _, step in drawn] == [
        (f'val_{number}-0', step) for step in (10, 20) for number in (0, 3)
    ]


def test_off_it_does_nothing(hook, folder):
    class Untouched:
        def __getattr__(self, name):
            raise AssertionError(f'{name} was asked for')

    made = hook()
    made.after_val_iter(Untouched(), 0, None, None)
    made.after_test_iter(Untouched(), 0, None, None)
    assert made._visualizer.drawn == []


def test_no_picture_is_read_for_items_that_are_not_drawn(hook, folder):
    data = dataset(folder)
    samples = [data[i]['data_samples'] for i in range(5)]
    for path in folder.glob('*.png'):
        path.unlink()
    made, loader = hook(draw=True, interval=10), SimpleNamespace(dataset=None, batch_size=2)
    made.after_val_iter(SimpleNamespace(val_dataloader=loader, iter=0), 1, None, samples[2:4])
    assert made._visualizer.drawn == []


def test_pictures_load_as_the_dataset_loads_them(folder):
    @TRANSFORMS.register_module(force=True)
    class LoadSliceForTest:
        def __init__(self, window):
            self.window = window

        def __call__(self, results):
            results['img'] = np.full((4, 4), results['attributes']['slice'] * self.window, np.uint8)
            return results

        def __repr__(self):
            return f'LoadSliceForTest({self.window})'

    data = dataset(folder)
    data.pipeline.transforms[0] = LoadSliceForTest(7)
    sample = SegDataSample(metainfo=dict(img_path='ct.nii.gz', attributes=dict(slice=3)))
    assert np.array_equal(load_picture(sample, image_loader(data)), np.full((4, 4, 3), 21))


def test_parts_that_load_alike_share_a_loader_and_others_are_refused(folder):
    plain, grey = dataset(folder), dataset(folder, color_type='grayscale')
    assert isinstance(image_loader(ConcatDataset([plain, dataset(folder)])), LoadImageFromFile)
    with pytest.raises(ValueError, match='in different ways'):
        image_loader(ConcatDataset([plain, grey]))
    assert load_picture(grey[0]['data_samples'], image_loader(grey)).shape == (6, 8, 3)


def test_a_pipeline_that_loads_no_image_is_named():
    with pytest.raises(ValueError, match='no transform that loads images'):
        image_loader(torch.utils.data.TensorDataset(torch.zeros(1)))
