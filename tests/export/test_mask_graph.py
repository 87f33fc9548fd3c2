"""The graph against the segmentor's own way from a picture to a probability, and what cannot be exported."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict

from mmseg_textseg.export.check import Sample, compare, feed, predict, random_samples, real_samples
from mmseg_textseg.export.graph import ExportError, MaskGraph, Signature, read_signature
from mmseg_textseg.export.programs import INPUTS

PREP = dict(type='SegDataPreProcessor', mean=[120.0, 110.0, 100.0], std=[58.0, 57.0, 56.0])


def run(graph):
    """The graph itself, called as an exported one."""
    return lambda arrays: graph(*(torch.from_numpy(arrays[name]) for name in INPUTS if name in arrays)).numpy()


@pytest.mark.parametrize('name', ['lsms', 'mptpn', 'mptpn-attention', 'one-conv', 'one-conv-text'])
def test_the_graph_says_what_the_segmentor_says(build, name):
    model, signature, graph = build(name)
    samples = random_samples(signature, 22 if signature.has_text else None, 3)
    found = compare(run(graph), model, dict(random=samples))
    assert [case['batch'] for case in found] == [3, 1, 1, 1]
    assert max(case['max_difference'] for case in found) < 5e-5
    probability = np.stack([predict(model, sample) for sample in samples])
    assert probability.shape == (3, *signature.size)
    assert probability.std() > 0.1
    assert 0 < probability.min() < 0.5 < probability.max() < 1


@pytest.mark.parametrize(
    'preprocessor',
    [
        {**PREP, 'bgr_to_rgb': False, 'size_divisor': 16, 'test_cfg': dict(size_divisor=16)},
        {**PREP, 'rgb_to_bgr': True, 'size_divisor': 16},
        {**PREP, 'bgr_to_rgb': True, 'size_divisor': 16, 'pad_val': 3, 'test_cfg': dict(size_divisor=32)},
        {**PREP, 'bgr_to_rgb': True, 'size_divisor': 16, 'pad_val': 3, 'test_cfg': dict(size=(48, 64))},
        dict(type='SegDataPreProcessor', bgr_to_rgb=True, size_divisor=16, test_cfg=dict(size_divisor=8)),
    ],
    ids=['bgr', 'swapped', 'padded', 'padded to a size', 'not normalised'],
)
def test_preprocessing_is_in_the_graph(build, preprocessor):
    """At 40 x 52, which 16 does not divide."""
    model, signature, graph = build('one-conv', size=(40, 52), data_preprocessor=preprocessor)
    assert signature.size == (40, 52)
    (sample,) = samples = random_samples(signature, None, 1)
    assert compare(run(graph), model, dict(random=samples))[0]['max_difference'] < 5e-5
    swapped = Sample(sample.image.flip(0), None)
    assert np.abs(predict(model, swapped) - predict(model, sample)).max() > 1e-2, 'the order of colours matters'


def test_threshold_and_one_channel(build):
    _, _, graph = build('mptpn')
    assert graph.threshold == 0.5
    head = dict(type='MSFFUpAttentionHead', in_channels=(4, 8, 16), threshold=0.3)
    assert build('mptpn', decode_head=head)[2].threshold == 0.3
    assert build('lsms')[2].threshold == 0.5


def test_items_of_the_test_set(build, make, data):
    model, signature, graph = build('lsms')
    samples = real_samples(make('lsms').cfg, signature, 2)
    assert [sample.text for sample in samples] == ['the bright square', 'dark']
    assert all(tuple(sample.image.shape) == (3, 64, 64) for sample in samples)
    assert [len(sample.ids) for sample in samples] == [5, 3]
    assert compare(run(graph), model, dict(real=samples))[0]['max_difference'] < 5e-5
    other = read_signature(make('lsms').cfg, model, (32, 96))
    assert tuple(real_samples(make('lsms').cfg, other, 1)[0].image.shape) == (3, 32, 96)
    gone = copy.deepcopy(make('lsms').cfg)
    gone.test_dataloader.dataset.ann_file = 'gone.jsonl'
    assert real_samples(gone, signature, 2) == []


def test_what_is_fed():
    image = torch.arange(12, dtype=torch.uint8).reshape(3, 2, 2)
    batch = feed([Sample(image, torch.tensor([2, 3])), Sample(image, torch.tensor([2, 7, 8, 3]))])
    assert batch['image'].dtype == np.float32
    assert np.array_equal(batch['image'][0], image.numpy()[::-1])
    assert batch['token_ids'].tolist() == [[2, 3, 8, 3], [2, 7, 8, 3]], 'padding is not all zeros'
    assert batch['token_mask'].tolist() == [[True, True, False, False], [True] * 4]
    assert list(feed([Sample(image, None)])) == ['image']


def test_a_difference_is_an_error(build):
    model, signature, graph = build('one-conv')
    groups = dict(random=random_samples(signature, None, 2))
    compare(lambda arrays: run(graph)(arrays) + 3e-4, model, groups)
    for wrong in (lambda p: p + 5e-4, lambda p: p * np.nan, lambda p: p[::-1]):
        with pytest.raises(ExportError, match=r'differs from the segmentor by .* \(random, batch 2, tokens None\)'):
            compare(lambda arrays, wrong=wrong: wrong(run(graph)(arrays)), model, groups)


def signature_of(make, build, name: str, steps: list[dict], **options):
    cfg = copy.deepcopy(make(name).cfg)
    cfg.test_dataloader.dataset.pipeline = [ConfigDict(step) for step in steps]
    return read_signature(cfg, build(name)[0], **options)


TOKENIZE = dict(type='TokenizeText', tokenizer='any')


def test_sizes_of_the_signature(make, build):
    steps = [dict(type='Resize', scale=(96, 64)), {**TOKENIZE, 'max_tokens': 6}]
    assert signature_of(make, build, 'mptpn', steps) == Signature((64, 96), None, 6, 8)
    assert signature_of(make, build, 'mptpn', steps, size=(32, 48)).size == (32, 48)
    long = signature_of(make, build, 'mptpn', [dict(type='Resize', scale=64), {**TOKENIZE, 'max_tokens': 30}])
    assert long == Signature((64, 64), None, 8, 8), 'PPE takes 8 tokens'
    assert signature_of(make, build, 'lsms', [*steps[:1], TOKENIZE]) == Signature((64, 96), None, 16, 16), (
        'positions of BERT'
    )
    free = signature_of(make, build, 'lsms', steps, dynamic_size=True)
    assert free == Signature((64, 96), 16, 6, 16), 'multiples of what it pads to'
    assert signature_of(make, build, 'one-conv', steps) == Signature((64, 96), None, None, None)


@pytest.mark.parametrize(
    ('steps', 'options', 'pattern'),
    [
        ([TOKENIZE], {}, 'give --size HEIGHT WIDTH'),
        ([dict(type='Resize', scale=(96, 64), keep_ratio=True), TOKENIZE], {}, 'give --size HEIGHT WIDTH'),
        ([dict(type='Resize', scale_factor=0.5), TOKENIZE], {}, 'give --size HEIGHT WIDTH'),
        ([dict(type='Resize', scale=(96, 64))], {}, 'has no TokenizeText'),
        ([TOKENIZE], dict(size=(0, 5)), r'size is 0 x 5 \(height x width\); expected at least 1'),
        ([TOKENIZE], dict(size=(64, 40), dynamic_size=True), 'multiples of 16, at least 32'),
        ([TOKENIZE], dict(size=(16, 64), dynamic_size=True), 'multiples of 16, at least 32'),
    ],
)
def test_sizes_that_are_not_to_be_had(make, build, refused, steps, options, pattern):
    with refused(pattern):
        signature_of(make, build, 'lsms', steps, **options)


def test_a_pretraining_is_refused(make, build, refused):
    cfg = copy.deepcopy(make('lsms').cfg)
    cfg.pop('test_dataloader')
    with refused('no test_dataloader'):
        read_signature(cfg, build('lsms')[0])


@pytest.mark.parametrize(
    ('name', 'changes', 'pattern'),
    [
        ('one-conv', dict(test_cfg=dict(mode='slide', crop_size=(16, 16), stride=(8, 8))), "mode='slide' averages"),
        ('one-conv', dict(data_preprocessor=dict(type='mmengine.ImgDataPreprocessor')), 'expected a SegDataPreProc'),
        (
            'one-conv',
            dict(
                decode_head=dict(type='FCNHead', in_channels=4, channels=4, num_convs=0, concat_input=False)
                | dict(num_classes=5, in_index=0)
            ),
            'has 5 classes',
        ),
    ],
)
def test_models_that_make_something_else(build, refused, name, changes, pattern):
    with refused(pattern):
        build(name, **changes)


def test_what_is_no_segmentor(build, refused):
    with refused('Identity with NoneType is no segmentor'):
        MaskGraph(torch.nn.Identity(), build('one-conv')[1])


def test_free_sizes_that_a_model_ties(build, refused):
    with refused(r"token_mixing='conv'\) has an output for each patch of 32 x 32"):
        build('mptpn', dynamic_size=True)
    prep = {**PREP, 'size_divisor': 16, 'test_cfg': dict(size=(64, 64))}
    with refused('pads to one size'):
        build('one-conv', size=(64, 64), dynamic_size=True, data_preprocessor=prep)
