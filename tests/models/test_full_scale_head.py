"""FullScaleHead against eq. 11-12, written again with plain functions and a factorisation of its own."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_textseg.models import FullScaleHead, TextFeatures

WIDTHS = (8, 12, 16, 20)
SIZES = ((16, 12), (8, 6), (4, 3), (2, 2))
GN = dict(type='GN', num_groups=4, requires_grad=True)
SMALL = dict(in_channels=WIDTHS[1:], ham_channels=24, channels=16, rank=5, norm_cfg=GN)
CONTRAST = dict(type='VisionLanguageContrastiveLoss', loss_weight=0.125)


def maps(batch=2, dtype=torch.float32):
    return [torch.randn(batch, c, *size, dtype=dtype) for c, size in zip(WIDTHS, SIZES, strict=True)]


def head(**kwargs):
    return FullScaleHead(**{**SMALL, **kwargs})


def samples(batch=2, size=(64, 48), classes=2):
    out = []
    for _ in range(batch):
        mask = torch.randint(classes, (1, *size))
        out.append(SegDataSample(gt_sem_seg=PixelData(data=mask)))
    return out


# Eq. 11-12 again


def conv(x, module, name):
    bias = getattr(module, 'bias', None)
    assert module.weight.shape[2:] == (1, 1), name
    y = torch.einsum('oc,bchw->bohw', module.weight[:, :, 0, 0], x)
    return y if bias is None else y + bias[:, None, None]


def group_norm(x, module):
    b, c, h, w = x.shape
    y = x.reshape(b, module.num_groups, -1)
    y = (y - y.mean(2, keepdim=True)) / (y.var(2, unbiased=False, keepdim=True) + module.eps).sqrt()
    return y.view(b, c, h, w) * module.weight[:, None, None] + module.bias[:, None, None]


def factorise(x, bases, steps):
    out = []
    for image in x:
        flat = image.flatten(1)  # (D, N)
        with torch.no_grad():
            parts, codes = bases, torch.softmax(bases.T @ flat, 0)
            for _ in range(steps):
                codes = codes * (parts.T @ flat) / (parts.T @ parts @ codes + 1e-6)
                parts = parts * (flat @ codes.T) / (parts @ codes @ codes.T + 1e-6)
        codes = codes * (parts.T @ flat) / (parts.T @ parts @ codes + 1e-6)
        out.append((parts @ codes).view_as(image))
    return torch.stack(out)


def reference(head, inputs, in_index=(1, 2, 3), align_to=0, steps=7, hamburger=True):
    size = inputs[align_to].shape[2:]
    chosen = [inputs[i] for i in in_index]
    if head.mlps is not None:
        chosen = [F.relu(group_norm(conv(x, m.conv, 'mlp'), m.norm)) for x, m in zip(chosen, head.mlps, strict=True)]
    x = torch.cat([F.interpolate(f, size, mode='bilinear', align_corners=False) for f in chosen], 1)  # eq. 11
    x = F.relu(group_norm(conv(x, head.squeeze.conv, 'squeeze'), head.squeeze.norm))
    if hamburger:
        ham = head.hamburger
        y = factorise(F.relu(conv(x, ham.ham_in.conv, 'in')), ham.ham.bases, steps)
        x = F.relu(x + group_norm(conv(y, ham.ham_out.conv, 'out'), ham.ham_out.norm))
    x = F.relu(group_norm(conv(x, head.align.conv, 'align'), head.align.norm))
    return conv(x, head.conv_seg, 'seg')


@pytest.mark.parametrize('early_squeeze', [True, False], ids=['early', 'late'])
@pytest.mark.parametrize(
    'change',
    [
        {},
        dict(align_to=1),
        dict(align_to=3),
        dict(in_index=(0, 1, 2, 3), in_channels=WIDTHS),
        dict(in_index=(3,), in_channels=WIDTHS[3:]),
        dict(in_index=(0, 2), in_channels=WIDTHS[::2], align_to=2),
        dict(mlp_channels=8),
        dict(hamburger=False),
        dict(mlp_channels=8, hamburger=False),
        dict(num_classes=4),
    ],
    ids=str,
)
def test_value_and_gradients(randomise, change, early_squeeze):
    module = randomise(head(**change, early_squeeze=early_squeeze)).double().eval()
    inputs = [x.requires_grad_() for x in maps(dtype=torch.float64)]
    options = {k: v for k, v in change.items() if k in ('in_index', 'align_to', 'hamburger')}
    ours, theirs = module(inputs), reference(module, inputs, **options)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    seed, leaves = torch.randn_like(ours), [*inputs, *module.parameters()]
    both = [torch.autograd.grad(y, leaves, seed, allow_unused=True) for y in (ours, theirs)]
    for a, b in zip(*both, strict=True):
        if a is None or b is None:
            assert a is b
        else:
            torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-8)


def test_training_takes_six_steps(randomise):
    module = randomise(head(dropout_ratio=0)).double().train()
    inputs = maps(dtype=torch.float64)
    torch.testing.assert_close(module(inputs), reference(module, inputs, steps=6), rtol=1e-9, atol=1e-9)
    assert not torch.allclose(module(inputs), reference(module, inputs, steps=7), rtol=1e-6)


@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=str)
@pytest.mark.parametrize('change', [{}, dict(mlp_channels=8), dict(norm_cfg=None), dict(align_corners=True)], ids=str)
def test_early_equals_late_squeeze(randomise, dtype, tolerance, change):
    early = randomise(head(**change)).to(dtype).eval()
    late = head(**change, early_squeeze=False).to(dtype).eval()
    late.load_state_dict(early.state_dict(), strict=True)
    inputs = maps(dtype=dtype)
    a, b = early(inputs), late(inputs)
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * b.abs().max().item())


def test_size_is_that_of_the_map_aligned_to():
    for align_to, size in enumerate(SIZES):
        assert head(align_to=align_to)(maps()).shape == (2, 2, *size)


def test_contents_of_stage_one_are_not_read():
    module, inputs = head().eval(), maps()
    other = [torch.randn_like(inputs[0]), *inputs[1:]]
    assert torch.equal(module(inputs), module(other))


def test_two_calls_in_eval_are_bit_identical(make_text):
    module, inputs = head().eval(), maps()
    first = module(inputs)
    module(maps())
    torch.rand(3)
    assert torch.equal(first, module(inputs))
    assert torch.equal(first, module(inputs, text=make_text()))  # text serves the loss only


def test_two_models_of_one_state_dict_agree():
    torch.manual_seed(1)
    a = head().eval()
    torch.manual_seed(2)
    b = head().eval()
    b.load_state_dict(a.state_dict(), strict=True)
    inputs = maps()
    assert torch.equal(a(inputs), b(inputs))


def test_parameters_at_the_defaults():
    """2.12 M, worked out by hand; the paper's FSD costs 2.1 M."""
    squeeze = (128 + 320 + 512) * 768 + 2 * 768
    hamburger = (768 * 768 + 768) + (768 * 768 + 2 * 768)
    align = 768 * 256 + 2 * 256
    seg = 256 * 2 + 2
    count = sum(p.numel() for p in FullScaleHead().parameters())
    assert count == squeeze + hamburger + align + seg == 2_118_402


def test_defaults_are_the_papers():
    module = FullScaleHead()
    assert module.squeeze.norm.num_groups == 32
    assert module.hamburger.ham.bases.shape == (768, 64)
    assert (module.hamburger.ham.train_steps, module.hamburger.ham.eval_steps) == (6, 7)
    assert module.in_index == [1, 2, 3]
    assert module.align_to == 0
    assert module.out_channels == 2
    assert not module.uses_text
    assert isinstance(MODELS.build(dict(type='FullScaleHead', **SMALL)), FullScaleHead)


# Losses


def test_loss_keys(make_text):
    plain = head(loss_decode=dict(type='BoundaryWeightedSegLoss')).loss(maps(), samples(), None)
    assert plain.keys() == {'loss_seg', 'acc_seg'}
    both = head(loss_decode=dict(type='BoundaryWeightedSegLoss'), loss_contrast=CONTRAST, text_channels=12)
    assert both.uses_text
    assert both.loss(maps(), samples(), None, text=make_text()).keys() == {'loss_seg', 'acc_seg', 'loss_con'}


def contrast_by_hand(features, words, mask):
    """Eq. 14 with the logarithm, tau 0.1, unit vectors; features (C, h, w), mask (H, W) a multiple of it."""
    step = mask.shape[0] // features.shape[1]
    small = mask[step // 2 :: step, step // 2 :: step]
    pixels = features / features.norm(dim=0, keepdim=True)
    positive, negative = pixels[:, small == 1], pixels[:, small == 0]
    near = (positive.T @ (words / words.norm()) / 0.1).exp()
    return -(near / (near + (positive.T @ negative / 0.1).exp().sum(1))).log().mean()


def test_total_is_alpha_times_contrast_plus_segmentation(randomise, make_text):
    module = head(
        loss_contrast=CONTRAST, text_channels=12, dropout_ratio=0, loss_decode=dict(type='BoundaryWeightedSegLoss')
    )
    module, text, inputs, truth = randomise(module).train(), make_text(), maps(), samples()
    losses = module.loss(inputs, truth, None, text=text)
    features = module.decode(inputs)
    words = text.pooled @ module.text_proj.weight.T + module.text_proj.bias
    expected = torch.stack(
        [contrast_by_hand(f, w, s.gt_sem_seg.data[0]) for f, w, s in zip(features, words, truth, strict=True)]
    ).mean()
    torch.testing.assert_close(losses['loss_con'], 0.125 * expected, rtol=1e-4, atol=1e-5)
    logits = F.interpolate(module.conv_seg(features), (64, 48), mode='bilinear', align_corners=False)
    target = torch.cat([s.gt_sem_seg.data for s in truth])
    torch.testing.assert_close(losses['loss_seg'], module.loss_decode(logits, target), rtol=1e-5, atol=1e-6)


def test_every_parameter_gets_a_gradient_and_text_too(randomise, make_text):
    module = randomise(head(loss_contrast=CONTRAST, text_channels=12, mlp_channels=8, dropout_ratio=0)).train()
    text = make_text(requires_grad=True)
    losses = module.loss(maps(), samples(), None, text=text)
    sum(v for k, v in losses.items() if k.startswith('loss')).backward()
    assert not [n for n, p in module.named_parameters() if p.grad is None]
    assert text.tokens.grad.abs().max() > 0
    assert module.text_proj.weight.grad.abs().max() > 0


def test_contrast_has_a_graph_when_no_image_holds_the_target(make_text):
    """Under DDP a parameter that gets no gradient on one rank stops the training."""
    module = head(loss_contrast=CONTRAST, text_channels=12)
    truth = samples()
    for sample in truth:
        sample.gt_sem_seg.data.zero_()
    loss = module.loss(maps(), truth, None, text=make_text())['loss_con']
    assert loss == 0
    loss.backward()
    assert module.text_proj.weight.grad.eq(0).all()


def test_contrast_needs_text(make_text):
    with pytest.raises(ValueError, match='needs text_channels'):
        head(loss_contrast=CONTRAST)
    with pytest.raises(ValueError, match='needs text='):
        head(loss_contrast=CONTRAST, text_channels=12).loss(maps(), samples(), None)


def test_text_channels_without_contrast_build_nothing():
    module = head(text_channels=12)
    assert not module.uses_text
    assert not hasattr(module, 'text_proj')


def test_predict_resizes_to_the_padded_image(make_text):
    module, metas = head().eval(), [dict(img_shape=(60, 48), pad_shape=(64, 48))] * 2
    logits = module.predict(maps(), metas, None)
    assert logits.shape == (2, 2, 64, 48)


# Beside stock parts


def test_stock_resnet_and_encoder_decoder():
    config = ConfigDict(
        type='EncoderDecoder',
        backbone=dict(
            type='ResNetV1c',
            depth=18,
            base_channels=8,
            num_stages=4,
            strides=(1, 2, 2, 2),
            dilations=(1, 1, 1, 1),
            out_indices=(0, 1, 2, 3),
            norm_cfg=dict(type='BN', requires_grad=True),
            stem_channels=8,
        ),
        decode_head=dict(type='FullScaleHead', **{**SMALL, 'in_channels': (16, 32, 64)}, dropout_ratio=0),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )
    model = MODELS.build(config).train()
    model.init_weights()
    x, truth = torch.randn(2, 3, 64, 64), samples(size=(64, 64))
    for sample in truth:
        sample.gt_sem_seg.data[:] = 0
        sample.gt_sem_seg.data[:, 16:48, 8:40] = 1
        sample.set_metainfo(dict(ori_shape=(50, 40), img_shape=(64, 64), pad_shape=(64, 64)))
    x[:, :, 16:48, 8:40] += 2
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    values = []
    for _ in range(20):
        loss, log = model.parse_losses(model(x, truth, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(log['decode.loss_ce'].item())
    assert values[-1] < 0.5 * values[0]  # the share of the target alone gives 0.8
    predicted = model.eval()(x, truth, mode='predict')
    assert predicted[0].pred_sem_seg.data.shape == (1, 50, 40)
    assert predicted[0].seg_logits.data.shape == (2, 50, 40)


def test_features_may_be_of_any_text(make_text):
    """An image whose sentence is empty adds a finite contrast."""
    module = head(loss_contrast=CONTRAST, text_channels=12)
    text = TextFeatures.empty(2, 3, 12, torch.zeros(1))
    loss = module.loss(maps(), samples(), None, text=text)['loss_con']
    assert loss.isfinite()
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())
