"""Losses and decoders: finite values and gradients for any logits, any mask and any size, or a clear error."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from steady import STEADY

from mmseg_textseg.models.losses import simsiam_loss

LOSSES = dict(
    boundary=dict(type='BoundaryWeightedSegLoss'),
    wide_boundary=dict(type='BoundaryWeightedSegLoss', kernel_size=7, iterations=3, gamma=0.5),
    wbce=dict(type='WeightedBCELoss'),
    wdice=dict(type='WeightedDiceLoss'),
    printed=dict(type='WeightedDiceLoss', form='printed', smooth=1e-12),
)
SIDE = st.sampled_from([1, 2, 3, 5, 8, 17])
FILLING = st.sampled_from(['any', 'background', 'foreground', 'ignored', 'one pixel', 'ignored or background'])
SEED = st.integers(0, 1000)


def truth(size, filling, generator) -> torch.Tensor:
    if filling == 'any':
        return torch.tensor([0, 1, 255])[torch.randint(3, size, generator=generator)]
    mask = torch.zeros(size, dtype=torch.long)
    if filling == 'one pixel':
        mask[..., 0, 0] = 1
    elif filling == 'ignored or background':
        mask[torch.rand(size, generator=generator) < 0.5] = 255
    else:
        mask[:] = dict(background=0, foreground=1, ignored=255)[filling]
    return mask


def assert_finite(value, *leaves):
    assert value.shape == ()
    assert torch.isfinite(value)
    value.backward()
    for leaf in leaves:
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()


@STEADY
@given(
    name=st.sampled_from(sorted(LOSSES)),
    size=st.tuples(SIDE, SIDE),
    channels=st.sampled_from([1, 2]),
    scale=st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 30.0, 1e3, 1e6, 1e20, 1e30]),
    filling=FILLING,
    seed=SEED,
)
def test_losses_of_pixels_are_finite(name, size, channels, scale, filling, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = (scale * torch.randn(2, channels, *size, generator=generator)).requires_grad_()
    mask = truth((2, *size), filling, generator)
    value = MODELS.build(LOSSES[name])(logits, mask, ignore_index=255)
    assert value >= -1e-6
    assert_finite(value, logits)
    if filling == 'ignored':
        assert logits.grad.abs().max() == 0, 'nothing to learn from'


@STEADY
@given(
    form=st.sampled_from(['infonce', 'ratio']),
    normalize=st.booleans(),
    size=st.tuples(SIDE, SIDE),
    grow=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    scale=st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 1e3, 1e9]),
    filling=FILLING,
    seed=SEED,
)
def test_the_contrastive_loss_is_finite(form, normalize, size, grow, scale, filling, seed):
    generator = torch.Generator().manual_seed(seed)
    features = (scale * torch.randn(2, 4, *size, generator=generator)).requires_grad_()
    language = torch.randn(2, 4, generator=generator).requires_grad_()
    mask = truth((2, *(a * b for a, b in zip(size, grow, strict=True))), filling, generator)
    loss = MODELS.build(dict(type='VisionLanguageContrastiveLoss', form=form, normalize=normalize))
    assert_finite(loss(features, language, mask), features, language)


@STEADY
@given(scale=st.sampled_from([0.0, 1e-30, 1.0, 1e15]), batch=st.integers(1, 3), seed=SEED)
def test_simsiam_is_bounded(scale, batch, seed):
    generator = torch.Generator().manual_seed(seed)
    p1, y2, p2, y1 = ((scale * torch.randn(batch, 5, generator=generator)).requires_grad_(i % 2 == 0) for i in range(4))
    value = simsiam_loss(p1, y2, p2, y1)
    assert -2.00001 <= value <= 2.00001
    assert_finite(value, p1, p2)


SIZES = [(1, 1), (1, 2), (3, 1), (1, 2000), (2000, 3), (7, 333), (13, 5), (64, 64)]
FULL_SCALE = dict(
    type='FullScaleHead',
    in_channels=(4, 8, 8),
    ham_channels=8,
    channels=4,
    rank=2,
    norm_cfg=dict(type='GN', num_groups=2),
    text_channels=6,
    loss_decode=dict(type='BoundaryWeightedSegLoss'),
    loss_contrast=dict(type='VisionLanguageContrastiveLoss'),
)
UP = dict(type='MSFFUpAttentionHead', in_channels=(4, 8, 16))


def down(size, factor):
    """As a strided convolution rounds."""
    return tuple(-(-side // factor) for side in size)


def maps(widths, sizes, batch):
    return [torch.randn(batch, c, *size).requires_grad_() for c, size in zip(widths, sizes, strict=True)]


def labels(size, batch, filling='any'):
    masks = truth((batch, *size), filling, torch.Generator().manual_seed(0))
    made = []
    for mask in masks:
        sample = SegDataSample(metainfo=dict(img_shape=tuple(size)))
        sample.gt_sem_seg = PixelData(data=mask[None])
        made.append(sample)
    return made


@pytest.mark.parametrize('size', SIZES, ids=str)
@pytest.mark.parametrize('filling', ['any', 'ignored'])
def test_the_full_scale_head_at_any_size(make_text, size, filling):
    """Strides 4 to 32 of a picture of ``size``: 2000 pixels are 500, and 63 at the deepest."""
    head = MODELS.build(FULL_SCALE)
    inputs = maps((2, 4, 8, 8), [down(size, stride) for stride in (4, 8, 16, 32)], 2)
    text = make_text((3, 2), 6)
    losses = head.loss(inputs, labels(size, 2, filling), {}, text=text)
    assert_finite(losses['loss_seg'] + losses['loss_con'], *inputs[1:])
    head.eval()
    with torch.no_grad():
        out = head.predict(inputs, [dict(img_shape=size, pad_shape=size)] * 2, {}, text=text)
    assert out.shape == (2, 2, *size)
    assert torch.isfinite(out).all()


@pytest.mark.parametrize('size', SIZES, ids=str)
def test_mptpn_s_decoder_at_any_size(size):
    head = MODELS.build(UP)
    inputs = maps((4, 8, 16), [size, down(size, 2), down(down(size, 2), 2)], 2)
    losses = head.loss(inputs, labels(size, 2), {})
    assert_finite(losses['loss_wbce'] + losses['loss_wdice'], *inputs)
    head.eval()
    with torch.no_grad():
        out = head.predict(inputs, [dict(img_shape=size, pad_shape=size)] * 2, {})
    assert out.shape == (2, 1, *size)
    assert torch.isfinite(out).all()


def test_a_single_picture_of_a_single_pixel_trains_mptpn_s_decoder():
    """Batch norms have one value a channel there, and refuse it with torch's own words."""
    head = MODELS.build(UP)
    inputs = maps((4, 8, 16), [(1, 1)] * 3, 1)
    with pytest.raises(ValueError, match='more than 1 value per channel'):
        head.loss(inputs, labels((1, 1), 1), {})


@pytest.mark.parametrize('size', [(1, 1), (1, 2000), (2000, 1999), (7, 333)], ids=str)
def test_losses_at_the_largest_and_oddest_sizes(size):
    for options in LOSSES.values():
        logits = torch.randn(1, 2, *size).requires_grad_()
        assert_finite(MODELS.build(options)(logits, labels(size, 1)[0].gt_sem_seg.data), logits)
