"""Parts that do not fit one another: said when a segmentor is built, with the mend; nothing changes."""

import pytest
import torch
from mmengine.registry import DefaultScope
from mmseg.models.backbones import ResNetV1c
from mmseg.registry import MODELS
from torch import nn

from mmseg_textseg.models import MixingError, check_mix

RESNET = dict(type='ResNetV1c', depth=18, base_channels=8, stem_channels=8, norm_cfg=dict(type='BN'))  # 8, 16, 32, 64
FCN = dict(type='FCNHead', in_channels=64, channels=8, num_convs=1, num_classes=2, out_channels=2)
FULL_SCALE = dict(
    type='FullScaleHead',
    in_channels=[16, 32, 64],
    ham_channels=16,
    channels=8,
    rank=4,
    norm_cfg=dict(type='GN', num_groups=4),
)
UP_ATTENTION = dict(type='UpAttentionHead', in_channels=[8, 16, 32])
MSFF = {**UP_ATTENTION, 'type': 'MSFFUpAttentionHead'}
ASPP = {**FCN, 'type': 'DepthwiseSeparableASPPHead', 'dilations': (1, 2), 'c1_in_channels': 8, 'c1_channels': 4}
ASPP.pop('num_convs')
PYRAMID = dict(type='MultiLevelNeck', in_channels=[8, 16, 32, 64], out_channels=8)
PPE = dict(type='PPE', base_channels=8, img_size=32, text_channels=None, num_heads=2)


@pytest.fixture(autouse=True)
def in_scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def build(backbone=RESNET, head=FCN, **more):
    return MODELS.build(dict(type='TextEncoderDecoder', backbone=backbone, decode_head=head, **more))


@pytest.mark.parametrize(
    'head',
    [FCN, FULL_SCALE, {**FULL_SCALE, 'mlp_channels': 12}, UP_ATTENTION, MSFF, ASPP, {**FCN, 'in_index': 3}],
    ids=['fcn', 'full-scale', 'full-scale-mlp', 'up-attention', 'msff', 'aspp', 'index'],
)
def test_parts_that_fit(head):
    build(head=head)


HAS = r'backbone ResNetV1c gives 4 maps, \[8, 16, 32, 64\] wide'
WRONG = [
    (
        dict(head={**FCN, 'in_channels': 32}),
        rf'decode_head FCNHead expects in_channels=32 at in_index=-1, but {HAS}: set in_channels=64, or',
    ),
    (
        dict(head={**FULL_SCALE, 'in_channels': [16, 24, 32]}),
        rf'decode_head FullScaleHead expects in_channels=\[16, 24, 32\] at in_index=\[1, 2, 3\], but {HAS}: '
        r'set in_channels=\[16, 32, 64\]',
    ),
    (
        dict(head={**FULL_SCALE, 'in_channels': [16, 24, 32], 'mlp_channels': 12}),
        r'expects in_channels=\[16, 24, 32\] at in_index=\[1, 2, 3\]',
    ),
    (
        dict(head={**FCN, 'in_channels': [8, 8], 'in_index': [0, 1], 'input_transform': 'resize_concat'}),
        rf'in_channels=a sum of 16 at in_index=\[0, 1\], but {HAS}: set in_channels=\[8, 16\]',
    ),
    (
        dict(head={**MSFF, 'in_channels': [8, 16, 24]}),
        r'MSFFUpAttentionHead expects in_channels=\[8, 16, 24\] at in_index=\[0, 1, 2\]',
    ),
    (
        dict(backbone=PPE, head={**FULL_SCALE, 'in_channels': [8, 16, 32]}),
        r'FullScaleHead reads in_index=\[1, 2, 3\], but backbone PPE gives 3 maps, \[8, 16, 32\] wide: choose in_index '
        'among 0 to 2',
    ),
    (
        dict(neck={**PYRAMID, 'in_channels': [8, 16, 32]}, head={**FCN, 'in_channels': 8}),
        rf'neck MultiLevelNeck expects in_channels=\[8, 16, 32\], but {HAS}',
    ),
    (
        dict(neck=PYRAMID),
        r'in_channels=64 at in_index=-1, but neck MultiLevelNeck gives 4 maps, \[8, 8, 8, 8\] wide: set in_channels=8,',
    ),
    (dict(auxiliary_head={**FCN, 'in_index': 2}), 'auxiliary_head FCNHead expects in_channels=64 at in_index=2'),
    (dict(auxiliary_head=[FCN, {**FCN, 'in_index': 9}]), r'auxiliary_head\[1\] FCNHead reads in_index=9'),
    # Beyond in_channels: a width that only DeepLabV3+ has, and sizes.
    (dict(head={**ASPP, 'c1_in_channels': 16}), 'ASPPHead does not fit backbone ResNetV1c: .* to have 16 channels'),
    (
        dict(head={**UP_ATTENTION, 'in_channels': [8, 16, 64], 'in_index': [0, 1, 3]}),
        r'does not fit backbone ResNetV1c: UpAttention needs a skip of twice the size .* 8 x 16 x 16, 16 x 8 x 8, '
        '32 x 4 x 4, 64 x 2 x 2',
    ),
    (
        dict(neck=dict(type='MSFF', in_channels=(8, 16, 64), in_index=(0, 1, 3))),
        'neck MSFF does not fit .*: MSFF needs maps at strides s, 2s, 4s',
    ),
]


@pytest.mark.parametrize(('parts', 'message'), WRONG, ids=range(len(WRONG)))
def test_parts_that_do_not_fit(parts, message):
    with pytest.raises(MixingError, match=message):
        build(**parts)


def test_the_stock_segmentor_is_checked_by_the_function():
    config = dict(type='EncoderDecoder', backbone=RESNET, decode_head={**FCN, 'in_channels': 32})
    with pytest.raises(MixingError, match='set in_channels=64'):
        check_mix(MODELS.build(config))


def test_a_backbone_of_one_image_size_is_checked_by_its_widths(tiny_bert):
    encoder = dict(
        type='BertTextEncoder',
        pretrained=None,
        tokenizer=dict(vocab='[PAD] [UNK] [CLS] [SEP] [MASK] a'),
        arch=tiny_bert,
    )
    tied = {**PPE, 'text_channels': 16, 'num_text_tokens': 8}
    head = {**FCN, 'in_channels': 32}
    build(tied, head, text_encoder=encoder)
    with pytest.raises(MixingError, match=r'backbone PPE gives 3 maps, \[8, 16, 32\] wide: set in_channels=32'):
        build(tied, {**head, 'in_channels': 16}, text_encoder=encoder)


class Odd(ResNetV1c):
    """A backbone that takes no small image."""

    def forward(self, x):
        raise RuntimeError('too small')


class Large(MODELS.get('FCNHead')):
    """A head that takes no small map."""

    def forward(self, inputs):
        return nn.functional.avg_pool2d(super().forward(inputs), 49)


@pytest.mark.parametrize('kind', ['backbone', 'head'])
def test_what_may_be_the_small_image_s_fault_is_no_error(kind):
    backbone, head = ({**RESNET, 'type': Odd}, FCN) if kind == 'backbone' else (RESNET, {**FCN, 'type': Large})
    model = build(backbone, head)
    assert type(model.backbone if kind == 'backbone' else model.decode_head) in (Odd, Large)


def test_nothing_changes():
    """Weights, running statistics, modes of parts that override train(), random numbers, gradients."""
    torch.manual_seed(3)
    model = build({**RESNET, 'norm_eval': True}, {**FULL_SCALE, 'dropout_ratio': 0.5}).train()
    light_ham = {**FULL_SCALE, 'type': 'LightHamHead', 'ham_kwargs': dict(MD_R=4), 'num_classes': 2, 'out_channels': 2}
    light_ham.update(in_index=[1, 2, 3])
    light_ham.pop('rank')
    drawing = build(head=light_ham).train()  # draws its bases
    for one in (model, drawing):
        modes = [m.training for m in one.modules()]
        state = {k: v.clone() for k, v in one.state_dict().items()}
        numbers = torch.get_rng_state()
        check_mix(one)
        assert torch.equal(torch.get_rng_state(), numbers)
        assert [m.training for m in one.modules()] == modes
        assert state.keys() == one.state_dict().keys()
        assert all(torch.equal(v, state[k]) for k, v in one.state_dict().items())
        assert all(p.grad is None for p in one.parameters())
    assert {m.training for m in model.modules()} == {True, False}, 'norm_eval keeps some in evaluation'


def test_modes_come_back_after_an_error():
    model = MODELS.build(dict(type='EncoderDecoder', backbone=RESNET, decode_head={**FCN, 'in_channels': 32})).train()
    with pytest.raises(MixingError):
        check_mix(model)
    assert all(m.training for m in model.modules())
    assert torch.is_grad_enabled()


def test_what_only_so_small_an_image_does_is_no_misfit():
    """An instance norm over the single pixel that a fifth level leaves of 64 x 64: PyTorch's own ValueError."""
    pyramid = dict(type='FPN', in_channels=[8, 16, 32, 64], out_channels=8, num_outs=6)
    head = {**FCN, 'in_channels': 8, 'in_index': 5, 'norm_cfg': dict(type='IN')}
    build(neck=pyramid, head=head)


def test_buffers_that_a_first_pass_makes_are_not_left():
    """Stock NMF2D without ``rand_init`` keeps the bases of the first image that it sees."""
    ham = dict(type='LightHamHead', in_channels=[16, 32, 64], in_index=[1, 2, 3], ham_channels=16, channels=8)
    ham.update(ham_kwargs=dict(MD_R=4, rand_init=False), num_classes=2, out_channels=2, norm_cfg=FULL_SCALE['norm_cfg'])
    assert not [key for key in build(head=ham).state_dict() if key.endswith('bases')]
