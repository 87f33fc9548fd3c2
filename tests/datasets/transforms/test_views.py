"""TwoViews and PackViews: independent draws, one caption, nothing moves."""

import random
from collections import OrderedDict
from functools import partial
from types import SimpleNamespace

import cv2
import mmengine.dataset
import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform, RandomGrayscale, TransformBroadcaster
from mmengine.dataset import pseudo_collate, worker_init_fn
from mmengine.registry import DefaultScope
from mmseg.datasets.transforms import RandomFlip
from mmseg.registry import TRANSFORMS
from torch.utils.data import DataLoader

from mmseg_textseg.datasets import PackTextSegInputs, PackViews, TwoViews
from mmseg_textseg.tokenization import SPECIAL, fingerprint

IMAGE = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
SOURCE = dict(vocab=[*SPECIAL, 'a', 'dog', 'left'])
# Rec. 601 in the order of the image's channels, blue first.
GREY = dict(type='RandomGrayscale', keep_channels=True, channel_weights=(0.114, 0.587, 0.299))
VIEW = [
    dict(type='RandomApply', transforms=[dict(type='ColorJitter')], prob=0.8),
    dict(GREY, prob=0.2),
    dict(type='RandomApply', transforms=[dict(type='GaussianBlur')], prob=0.5),
]


def make_results(**changes):
    return {
        'img': IMAGE.copy(),
        'img_path': 'i.png',
        'ori_shape': (24, 20),
        'img_shape': (12, 10),
        'text': 'a dog left',
        'sample_id': 'i-0',
        'tokenizer': 'abc',
        'text_ids': np.array([2, 5, 3], np.int32),
        'text_mask': np.array([True, True, True]),
        **changes,
    }


def seed(value=3):
    random.seed(value)  # RandomGrayscale's
    np.random.seed(value)  # noqa: NPY002 (that of all others)


def test_views_differ_and_follow_the_seed():
    transform = TwoViews(VIEW)

    def draw():
        seed()
        return [transform(make_results())['views'] for _ in range(6)]

    drawn = draw()
    assert all((first != second).any() for first, second in drawn)
    assert len({view.tobytes() for views in drawn for view in views}) == 12
    np.testing.assert_array_equal(draw(), drawn)


def test_numpy_alone_decides_but_for_the_grey():
    """mmcv's RandomGrayscale draws from Python's generator, which MMEngine seeds as well."""
    without, by_wrapper = TwoViews([VIEW[0], VIEW[2]]), TwoViews([dict(VIEW[2], transforms=[dict(GREY, prob=1.0)])])
    for transform in (without, by_wrapper):
        drawn = []
        for other in range(2):
            seed()
            random.seed(other)
            drawn.append([transform(make_results())['views'] for _ in range(8)])
        np.testing.assert_array_equal(*drawn)


def test_each_view_starts_from_the_image():
    """A view neither changes the image nor sees the other view."""

    def darken(results):
        results['img'] -= 1
        return results

    image = np.full((2, 3, 3), 9, np.uint8)
    results = TwoViews([darken])(dict(img=image))
    assert [view.tolist() for view in results['views']] == [np.full((2, 3, 3), 8).tolist()] * 2
    assert results['img'] is image
    assert (image == 9).all()


def test_all_else_is_shared():
    before = make_results()
    after = TwoViews(VIEW)(dict(before))
    assert after.keys() == before.keys() | {'views'}
    assert all(after[key] is before[key] for key in before)


def test_probabilities_reach_the_views():
    never = [dict(step, prob=0.0) for step in VIEW]
    np.testing.assert_array_equal(TwoViews(never)(make_results())['views'], [IMAGE, IMAGE])
    changed = [(TwoViews([VIEW[0]])(make_results())['views'][0] != IMAGE).any() for _ in range(300)]
    assert 0.7 < np.mean(changed) < 0.9


def test_grey_by_the_weights_of_blue_green_red():
    """Blue 255 gives 29, green 149, red 76 (mmcv cuts the fraction off)."""
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    views = TwoViews([dict(GREY, prob=1.0)])(dict(img=image))['views']
    assert [view.tolist() for view in views] == [[[[29] * 3, [149] * 3, [76] * 3]]] * 2
    plain = RandomGrayscale(prob=1.0, keep_channels=True)(dict(img=image))['img']
    assert plain.tolist() == [[[85] * 3] * 3]  # mmcv's default is the plain mean


@pytest.mark.parametrize('scope', [None, 'mmseg'])
def test_names_are_found_inside_of_mmcvs_wrappers(monkeypatch, scope):
    monkeypatch.setattr(DefaultScope, '_instance_dict', OrderedDict())
    if scope:
        DefaultScope.get_instance('test', scope_name=scope)
    transform = TRANSFORMS.build(dict(type='TwoViews', transforms=VIEW))
    kinds = [
        type(step.transforms.transforms[0]).__name__ for step in (transform.transforms.transforms[i] for i in (0, 2))
    ]
    assert kinds == ['ColorJitter', 'GaussianBlur']
    current = DefaultScope.get_current_instance()
    assert (current and current.scope_name) == scope


def test_a_scope_that_is_set_stays(monkeypatch):
    seen = []

    class Spy(BaseTransform):
        def __init__(self):
            seen.append(DefaultScope.get_current_instance().scope_name)

        def transform(self, results):
            return results

    monkeypatch.setattr(DefaultScope, '_instance_dict', OrderedDict())
    DefaultScope.get_instance('test', scope_name='mmengine')
    TwoViews([dict(type=Spy)])
    assert seen == ['mmengine']


FLIP = dict(type='RandomFlip', prob=0.5)


@pytest.mark.parametrize(
    ('transforms', 'name'),
    [
        ([FLIP], 'RandomFlip'),
        ([*VIEW, FLIP], 'RandomFlip'),
        ([dict(type='mmseg.RandomFlip', prob=0.5)], 'RandomFlip'),
        ([dict(type=RandomFlip, prob=0.5)], 'RandomFlip'),
        ([dict(type='RandomCrop', crop_size=(4, 4))], 'RandomCrop'),
        ([dict(type='CenterCrop', crop_size=4)], 'CenterCrop'),
        ([dict(type='RandomRotate', prob=0.5, degree=10)], 'RandomRotate'),
        ([dict(type='RandomRotFlip')], 'RandomRotFlip'),
        ([dict(type='Resize', scale=(4, 4))], 'Resize'),
        ([dict(type='RandomResize', scale=(4, 4), ratio_range=(1, 2))], 'RandomResize'),
        ([dict(type='RandomChoiceResize', scales=[(4, 4)])], 'RandomChoiceResize'),
        ([dict(type='ResizeToMultiple')], 'ResizeToMultiple'),
        ([dict(type='ResizeShortestEdge', scale=4, max_size=8)], 'ResizeShortestEdge'),
        ([dict(type='SegRescale')], 'SegRescale'),
        ([dict(type='Pad', size=(16, 16))], 'Pad'),
        ([dict(type='RandomMosaic', prob=1.0)], 'RandomMosaic'),
        ([dict(type='RandomApply', transforms=[FLIP])], 'RandomFlip'),
        ([dict(type='RandomApply', transforms=FLIP)], 'RandomFlip'),
        ([dict(type='RandomChoice', transforms=[[VIEW[0]], [VIEW[2], FLIP]])], 'RandomFlip'),
        ([dict(type='RandomChoice', transforms=[[dict(type='RandomApply', transforms=[FLIP])]])], 'RandomFlip'),
        ([dict(type='Compose', transforms=[FLIP])], 'RandomFlip'),
        ([dict(type='TransformBroadcaster', transforms=[FLIP], mapping=dict(img=['img']))], 'RandomFlip'),
        ([dict(type='TestTimeAug', transforms=[[dict(GREY)]])], 'TestTimeAug'),
        ([type('Mirror', (RandomFlip,), {})(prob=0.5)], 'RandomFlip'),
    ],
    ids=str,
)
def test_what_moves_pixels_is_refused(transforms, name):
    with pytest.raises(ValueError, match=rf'TwoViews: .*{name}.* would move pixels.*captions tell positions'):
        TwoViews(transforms)


class Albu(BaseTransform):
    """Keeps configs, as MMSegmentation's does; its package need not be installed."""

    def __init__(self, *names):
        self.transforms = [dict(type='OneOf', transforms=[dict(type=name) for name in names])]

    def transform(self, results):
        return results


@pytest.mark.parametrize(
    'name',
    [
        *('Affine', 'ElasticTransform', 'GridDistortion', 'OpticalDistortion', 'Perspective', 'Rot90', 'ShearX'),
        *('ShiftScaleRotate', 'TranslateY', 'Transpose', 'ThinPlateWarp'),
    ],
)
def test_what_albu_holds_is_refused(name):
    TwoViews([Albu('RGBShift', 'CLAHE')])
    with pytest.raises(ValueError, match=f'TwoViews: {name} would move pixels'):
        TwoViews([Albu('RGBShift', name)])


def test_functions_are_refused_by_name():
    def hflip(results):
        return results

    with pytest.raises(ValueError, match='TwoViews: hflip would move pixels'):
        TwoViews([hflip])


@pytest.mark.parametrize('kind', ['PhotoMetricDistortion', 'CLAHE', 'AdjustGamma', 'ColorJitter', 'GaussianBlur'])
def test_photometric_transforms_are_let_in(kind):
    views = TwoViews([dict(type=kind)])(make_results())['views']
    assert [(view.shape, view.dtype) for view in views] == [(IMAGE.shape, IMAGE.dtype)] * 2


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda image: image[:6], r'its view uint8 of shape \(6, 10, 3\)'),
        (lambda image: image.transpose(1, 0, 2), r'shape \(10, 12, 3\)'),
        (lambda image: image[..., 0], r'shape \(12, 10\).*keep_channels=True'),
        (lambda image: image / 255, 'its view float64'),
    ],
)
def test_views_of_another_shape_are_an_error(change, message):
    transform = TwoViews([lambda results: dict(results, img=change(results['img']))])
    with pytest.raises(ValueError, match=rf'i\.png is uint8 of shape \(12, 10, 3\), .*{message}'):
        transform(make_results())


def test_the_second_view_is_checked_too():
    calls = []

    def second_is_smaller(results):
        calls.append(1)
        return dict(results, img=results['img'][: 12 if len(calls) == 1 else 6])

    with pytest.raises(ValueError, match=r'shape \(6, 10, 3\)'):
        TwoViews([second_is_smaller])(make_results())


def test_a_sample_can_be_given_up():
    assert TwoViews([lambda results: None])(make_results()) is None


def test_views_never_share_their_draws():
    """Under mmcv's sharing of random numbers both views would be the same."""
    shared = TransformBroadcaster([TwoViews(VIEW)], mapping=dict(img=['img', 'other']), share_random_params=True)
    with pytest.raises(RuntimeError, match='TwoViews'):
        shared(make_results(other=IMAGE))


def test_pack():
    views = [IMAGE.copy(), IMAGE[::-1]]
    packed = PackViews()(make_results(views=views))
    assert packed.keys() == {'inputs', 'data_samples'}
    assert isinstance(packed['inputs'], list)
    for tensor, view in zip(packed['inputs'], views, strict=True):
        assert (tensor.shape, tensor.dtype, tensor.is_contiguous()) == ((3, 12, 10), torch.uint8, True)
        np.testing.assert_array_equal(tensor.numpy().transpose(1, 2, 0), view)
    sample, expected = packed['data_samples'], PackTextSegInputs()(make_results())['data_samples']
    assert (sample.text_ids.dtype, sample.text_ids.tolist()) == (torch.int64, [2, 5, 3])
    assert (sample.text_mask.dtype, sample.text_mask.tolist()) == (torch.bool, [True] * 3)
    assert sample.metainfo == expected.metainfo
    assert {'img_path', 'ori_shape', 'img_shape', 'text', 'sample_id', 'tokenizer'} <= sample.metainfo.keys()
    assert set(PackViews(('img_path',))(make_results(views=views))['data_samples'].metainfo) == (
        {'img_path', 'text', 'sample_id', 'tokenizer'}
    )


def test_packed_tensors_are_copies():
    views = [IMAGE.copy(), IMAGE.copy()]
    packed = PackViews()(make_results(views=views))
    for view in views:
        view[:] = 0
    assert all((tensor > 0).any() for tensor in packed['inputs'])


@pytest.mark.parametrize(
    'views',
    [
        None,
        [IMAGE],
        [IMAGE] * 3,
        [IMAGE, IMAGE[:6]],
        [IMAGE[:6], IMAGE],
        [IMAGE[..., 0]] * 2,
        [IMAGE.astype(np.float32)] * 2,
        [IMAGE, IMAGE.astype(np.float32)],
        [np.dstack([IMAGE, IMAGE])] * 2,
    ],
)
def test_bad_views(views):
    results = make_results() if views is None else make_results(views=views)
    with pytest.raises(ValueError, match=r'PackViews: i\.png has views .*as TwoViews gives'):
        PackViews()(results)


class Same(torch.utils.data.Dataset):
    """The same image again and again, so that only draws differ."""

    def __init__(self):
        self.steps = TwoViews(VIEW), PackViews()

    def __len__(self):
        return 6

    def __getitem__(self, index):
        results = make_results(sample_id=str(index))
        for step in self.steps:
            results = step(results)
        return results


@pytest.mark.filterwarnings('ignore:This DataLoader')  # of a machine with one core
def test_workers_draw_on_their_own():
    data = Same()
    start = partial(worker_init_fn, num_workers=2, rank=0, seed=5)
    loader = DataLoader(data, num_workers=2, worker_init_fn=start, collate_fn=pseudo_collate, timeout=60)
    got = {batch['data_samples'][0].sample_id: torch.stack([view[0] for view in batch['inputs']]) for batch in loader}
    assert len({views.numpy().tobytes() for views in got.values()}) == 6
    for worker in range(2):
        start(worker)
        for index in range(worker, 6, 2):  # the loader deals the samples out in turn
            assert torch.equal(got[str(index)], torch.stack(data[index]['inputs']))


def test_standard_pipeline(tmp_path, monkeypatch):
    monkeypatch.setattr(DefaultScope, '_instance_dict', OrderedDict())
    DefaultScope.get_instance('test', scope_name='mmseg')
    cv2.imwrite(str(tmp_path / 'i.png'), IMAGE)
    pipeline = mmengine.dataset.Compose(
        [
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(32, 32), keep_ratio=False),
            dict(type='PickText', mode='first'),
            dict(type='TokenizeText', tokenizer=SOURCE),
            dict(type='TwoViews', transforms=VIEW),
            dict(type='PackViews'),
        ]
    )
    packed = pipeline(dict(img_path=str(tmp_path / 'i.png'), texts=['a dog', 'left'], sample_id='i-0'))
    assert [tuple(view.shape) for view in packed['inputs']] == [(3, 32, 32)] * 2
    assert not torch.equal(*packed['inputs'])
    sample = SimpleNamespace(**packed['data_samples'].metainfo)
    assert (sample.text, sample.tokenizer) == ('a dog', fingerprint(SOURCE))
    assert (sample.ori_shape, sample.img_shape) == ((12, 10), (32, 32))
    assert packed['data_samples'].text_ids.tolist() == [2, 5, 6, 3]
