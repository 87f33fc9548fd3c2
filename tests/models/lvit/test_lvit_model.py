"""LViT and LViTHead as parts: widths of the paper, sizes, text, gradients, precision, errors."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_textseg.models import LViT, LViTHead, TextFeatures
from mmseg_textseg.models.decode_heads.binary_accuracy import binary_accuracy

C, C_TEXT, T = 4, 12, 5
SIZE = (16, 32)
SMALL = dict(base_channels=C, img_size=SIZE, text_channels=C_TEXT, num_text_tokens=T, patch_size=8, num_heads=2)
WIDTHS = (C, 2 * C, 4 * C, 8 * C, 8 * C)
mixings = pytest.mark.parametrize('mixing', ['conv', 'attention'])
close = dict(rtol=1e-9, atol=1e-9)


@pytest.fixture
def make(randomise):
    """Function (**options) -> LViT in float64 and evaluation, weights drawn anew."""
    return lambda **options: randomise(LViT(**{**SMALL, **options})).double().eval()


@pytest.fixture
def text(make_text):
    return make_text((5, 3), dtype=torch.float64)


def image(batch=2, size=SIZE):
    return torch.randn(batch, 3, *size, dtype=torch.float64)


def samples(masks, **metainfo):
    return [SegDataSample(gt_sem_seg=PixelData(data=mask[None]), metainfo=dict(metainfo)) for mask in masks]


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_widths_and_parameters_of_the_paper():
    """29.9 M parameters get a gradient in the release, 5956 of them biases before batch norms, which ours has not."""
    with torch.device('meta'):
        model, head = LViT(), LViTHead()
        maps = model(torch.empty(2, 3, 224, 224), TextFeatures.empty(2, 10, 768, torch.empty(1)))
        logits = head(maps)
    assert [tuple(y.shape[1:]) for y in maps] == [
        (64, 224, 224), (128, 112, 112), (256, 56, 56), (512, 28, 28), (512, 14, 14),
    ]  # fmt: skip
    assert logits.shape == (2, 1, 224, 224)
    assert count(model) + count(head) == 29_908_033 - 5_956
    assert [(b.conv1.conv.in_channels, b.out_channels) for b in head.up_blocks] == [
        (1024, 256), (512, 128), (256, 64), (128, 64),
    ]  # fmt: skip
    assert [vit.patches.embed.projection.kernel_size for vit in model.down_vits] == [
        (16,) * 2,
        (8,) * 2,
        (4,) * 2,
        (2,) * 2,
    ]
    assert [conv.out_channels for conv in model.text_convs.convs] == [512, 256, 128, 64]
    assert (head.num_classes, head.out_channels, head.threshold) == (2, 1, 0.5)


@pytest.mark.parametrize('size', [(16, 32), (17, 31), (40, 8), (5, 1)], ids=str)
@pytest.mark.parametrize('channels', [C_TEXT, None], ids=['text', 'text-free'])
def test_sizes_and_layout(make_text, size, channels):
    model = LViT(**{**SMALL, 'text_channels': channels}, token_mixing='attention').eval()
    arguments = () if channels is None else (make_text((5, 3)),)
    maps = model(image(size=size).float(), *arguments)
    for y, width, stride in zip(maps, WIDTHS, (1, 2, 4, 8, 16), strict=True):
        assert y.shape == (2, width, -(-size[0] // stride), -(-size[1] // stride))
        assert y.is_contiguous(memory_format=torch.channels_last)
    assert LViTHead(WIDTHS).eval()(maps).shape == (2, 1, *size)


def test_text_free_is_one_model(make):
    a, b = make(text_channels=None, token_mixing='conv'), make(text_channels=None, token_mixing='attention')
    assert not [name for name in a.state_dict() if 'text' in name or 'mixing' in name]
    b.load_state_dict(a.state_dict(), strict=True)
    x = image(size=(24, 10))
    assert all(torch.equal(p, q) for p, q in zip(a(x), b(x), strict=True))
    assert (a.uses_text, a.num_text_tokens) == (False, None)


@mixings
def test_text_changes_the_first_four_maps(make, make_text, mixing):
    model, x = make(token_mixing=mixing), image()
    a, b = (model(x, make_text((5, 3), dtype=torch.float64)) for _ in range(2))
    for p, q in zip(a[:4], b[:4], strict=True):
        assert (p - q).abs().mean() > 1e-3 * p.abs().mean()
    assert torch.equal(a[4], b[4])  # the bottom of the CNN


@mixings
@pytest.mark.parametrize('garbage', [0.0, 1e4])
def test_padding_never_matters(make, make_text, mixing, garbage):
    model, x, text = make(token_mixing=mixing), image(), make_text((3, 2), dtype=torch.float64)
    junk = garbage * torch.randn(2, T, C_TEXT, dtype=torch.float64)
    mask = F.pad(text.mask, (0, T - 3))
    tokens = torch.where(mask[..., None], F.pad(text.tokens, (0, 0, 0, T - 3)), junk)
    for a, b in zip(model(x, TextFeatures.from_tokens(tokens, mask)), model(x, text), strict=True):
        torch.testing.assert_close(a, b, **close)


@mixings
def test_a_batch_element_equals_the_sample_alone(make, text, mixing):
    model, x = make(token_mixing=mixing), image()
    whole = model(x, text)
    for i, length in enumerate((5, 3)):
        alone = TextFeatures.from_tokens(text.tokens[i : i + 1, :length], text.mask[i : i + 1, :length])
        for a, b in zip(whole, model(x[i : i + 1], alone), strict=True):
            torch.testing.assert_close(a[i : i + 1], b, **close)


@mixings
@pytest.mark.parametrize('channels', [C_TEXT, None], ids=['text', 'text-free'])
@pytest.mark.parametrize('lengths', [(5, 3), (4, 0)], ids=str)
def test_every_parameter_gets_a_gradient(make, make_text, mixing, channels, lengths):
    model, head = make(text_channels=channels, token_mixing=mixing).train(), LViTHead(WIDTHS).double()
    words = () if channels is None else (make_text(lengths, dtype=torch.float64),)
    losses = head.loss(model(image(), *words), samples(torch.randint(2, (2, *SIZE))), None)
    assert losses.keys() == {'loss_wbce', 'loss_wdice', 'acc_seg'}
    (losses['loss_wbce'] + losses['loss_wdice']).backward()
    for name, p in (*model.named_parameters(), *head.named_parameters()):
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
        # Softmax takes no constant: the bias of the keys has no gradient but rounding.
        grad = p.grad.chunk(3)[2] if name.endswith('in_proj_bias') else p.grad
        assert grad.abs().max() > 1e-12, name


def test_state_dict_round_trip(make, text):
    a, b, x = make(), LViT(**SMALL).double().eval(), image()
    b.load_state_dict(copy.deepcopy(a.state_dict()), strict=True)
    assert all(torch.equal(p, q) for p, q in zip(a(x, text), b(x, text), strict=True))


@mixings
@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
def test_bfloat16_autocast(make_text, mixing, training):
    torch.manual_seed(1)
    model, head = LViT(**SMALL, token_mixing=mixing, dropout=0.0).train(training), LViTHead(WIDTHS).train(training)
    x, text = image().float(), make_text((5, 3))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        logits = head(model(x, text))
    assert logits.isfinite().all()
    if training:  # batch norm of the two pixels at the bottom makes rounding large, so it is not compared
        logits.float().sum().backward()
        assert all(p.grad.isfinite().all() for p in model.parameters())
    else:
        exact = head(model(x, text))
        assert (logits.float() - exact).abs().mean() < 0.06 * exact.abs().mean()


def test_init_weights_reaches_the_patches():
    model = LViT(**SMALL)
    with torch.no_grad():
        for vit in model.down_vits:
            vit.patches.position.fill_(9)
    model.init_weights()
    assert all(vit.patches.position.abs().max() < 0.2 for vit in model.down_vits)


# Errors


def test_conv_mixing_is_tied_to_size_and_tokens(make, make_text):
    model = make()
    with pytest.raises(ValueError, match=r"16 x 32 images, got 32 x 32: .*img_size.*token_mixing='attention'"):
        model(image(size=(32, 32)), make_text((5, 3), dtype=torch.float64))
    with pytest.raises(ValueError, match=r"=5\) got 6 tokens: .*max_tokens=5.*num_text_tokens.*'attention'"):
        model(image(), make_text((6, 3), dtype=torch.float64))
    other = make(token_mixing='attention')
    assert other(image(size=(32, 32)), make_text((6, 3), dtype=torch.float64))[0].shape[2:] == (32, 32)


def test_text_missing_and_text_unwanted(make, text):
    with pytest.raises(ValueError, match=r'LViT.*needs text=.*text_channels=None'):
        make()(image())
    with pytest.raises(ValueError, match='takes no text'):
        make(text_channels=None)(image(), text)


BAD = [
    (dict(token_mixing='add'), "'conv' or 'attention'"),
    (dict(patch_size=12), 'multiple of 8'),
    (dict(num_heads=3), 'multiple of num_heads=3'),
]


@pytest.mark.parametrize(('change', 'message'), BAD, ids=[next(iter(b[0])) for b in BAD])
def test_bad_options(change, message):
    with pytest.raises(ValueError, match=message):
        LViT(**{**SMALL, **change})


@pytest.mark.parametrize('options', [dict(in_channels=(8,), in_index=(0,)), dict(in_channels=(8, 16))], ids=str)
def test_head_needs_two_maps(options):
    with pytest.raises(ValueError, match='two maps or more'):
        LViTHead(**options)


# The head elsewhere


@pytest.mark.parametrize('out_channels', [1, 2])
def test_head_on_three_maps_of_any_backbone(out_channels):
    head = LViTHead((6, 8, 10), in_index=(1, 2, 3), out_channels=out_channels).eval()
    maps = [torch.randn(2, c, s, s) for c, s in ((5, 32), (6, 16), (8, 8), (10, 4))]
    assert head(maps).shape == (2, out_channels, 16, 16)
    assert [block.out_channels for block in head.up_blocks] == [6, 6]


def test_accuracy_of_one_logit():
    """Pixels by hand: one of two valid ones is right; the third is ignored."""
    logits, truth = torch.tensor([2.0, 2.0, -2.0]).view(1, 1, 1, 3), torch.tensor([1, 0, 255]).view(1, 1, 1, 3)
    assert binary_accuracy(logits, truth, 0.5, 255, False) == 50


def test_built_by_name_and_text_reaches_the_backbone_alone():
    with DefaultScope.overwrite_default_scope('mmseg'):
        model, head = MODELS.build(dict(type='LViT', **SMALL)), MODELS.build(dict(type='LViTHead', in_channels=WIDTHS))
    assert (type(model), type(head)) == (LViT, LViTHead)
    assert (model.uses_text, head.uses_text) == (True, False)
