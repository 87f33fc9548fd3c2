"""SVLA and its block against eq. 2-10, written again from the paper one image and one strip at a time."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_textseg.models import TextFeatures
from mmseg_textseg.models.backbones.svla import SVLA, SVLABlock

C, C_TEXT = 6, 10
BN = dict(type='BN', requires_grad=True)


def instance_norm(x):
    """(C, H, W)."""
    mean = x.mean((1, 2), keepdim=True)
    return (x - mean) / ((x - mean).square().mean((1, 2), keepdim=True) + 1e-5).sqrt()


def pointwise(x, weight, bias=None):
    """1x1 convolution of a (C, H, W) map."""
    y = torch.einsum('oc,chw->ohw', weight[:, :, 0, 0], x)
    return y if bias is None else y + bias[:, None, None]


def depthwise(x, weight, bias):
    """Each channel of (C, H, W) with its own kernel, the map padded by zeros to keep its size."""
    height, width = weight.shape[2:]
    padded = F.pad(x, (width // 2, width // 2, height // 2, height // 2))
    windows = padded.unfold(1, height, 1).unfold(2, width, 1)  # (C, H, W, height, width)
    return torch.einsum('chwij,cij->chw', windows, weight[:, 0]) + bias[:, None, None]


def parameters(module, name):
    state = dict(module.named_parameters())
    return tuple(state[f'{name}.{kind}'] for kind in ('weight', 'bias') if f'{name}.{kind}' in state)


def svla_reference(svla, x, text, kernels=(7, 11, 21), scale=C_TEXT**0.5, pixel_map=True, gate=False):
    """Eq. 4-10; ``text`` None leaves Att_L out. Padding is left out by indexing, not by masking.

    Without ``pixel_map`` eq. 9 ends before its product; ``gate`` is SLViT's: two matrices, no bias.
    """
    out = []
    for b, image in enumerate(x):
        pre = depthwise(image, *parameters(svla, 'conv0'))  # eq. 4
        total = pre
        for j, length in enumerate(kernels):
            row, column = parameters(svla, f'conv{j}_1'), parameters(svla, f'conv{j}_2')
            assert row[0].shape[2:] == (1, length)
            assert column[0].shape[2:] == (length, 1)
            total = total + depthwise(depthwise(pre, *row), *column)
        if text is not None:
            tokens = text.tokens[b][text.mask[b]]  # (T, C_l)
            v1 = instance_norm(pointwise(pre, *parameters(svla, 'language.v1.0'))).flatten(1)  # (C, N)
            (w1, b1), (w2, b2) = parameters(svla, 'language.l1'), parameters(svla, 'language.l2')
            l1, l2 = (tokens @ w1.T + b1).T, (tokens @ w2.T + b2).T  # (C, T)
            words = torch.softmax(v1.T @ l1 / scale, dim=1) @ l2.T if len(tokens) else torch.zeros_like(v1.T)
            words = words.T.reshape(image.shape)
            words = instance_norm(pointwise(words, *parameters(svla, 'language.out.0')))
            if gate:
                inner, outer = (dict(svla.named_parameters())[f'language.gate.{i}.weight'] for i in (0, 2))
                hidden = torch.einsum('oc,chw->ohw', inner[:, :, 0, 0], words)
                passed = torch.einsum('oc,chw->ohw', outer[:, :, 0, 0], hidden * (hidden > 0))
                words = words * (1 - 2 / (torch.exp(2 * passed) + 1))  # tanh
            if pixel_map:
                words = words * instance_norm(pointwise(pre, *parameters(svla, 'language.v2.0')))  # eq. 9
            total = total + words
        out.append(pointwise(total, *parameters(svla, 'conv3')) * image)  # eq. 10
    return torch.stack(out)


def make(randomise, text_channels=C_TEXT, **kwargs):
    return randomise(SVLA(C, text_channels, **kwargs)).double()


def image(batch=2, height=5, width=7):
    return torch.randn(batch, C, height, width, dtype=torch.float64)


# How the words join the sum: as printed, without the Pixel-Map, as in SLViT, and a gate beside the Pixel-Map.
FUSIONS = [dict(), dict(pixel_map=False), dict(pixel_map=False, gate=True), dict(gate=True)]
fusions = pytest.mark.parametrize('fusion', FUSIONS, ids=['printed', 'no-pixel-map', 'gate', 'gate-and-pixel-map'])


@pytest.mark.parametrize('kernels', [(7, 11, 21), (5,), (3, 21)])
@pytest.mark.parametrize('scale', ['text', 'visual', None])
def test_svla_value_and_gradients(randomise, make_text, kernels, scale):
    svla = make(randomise, None if scale is None else C_TEXT, kernel_sizes=kernels, language_scale=scale or 'text')
    text = None if scale is None else make_text((4, 2), C_TEXT, dtype=torch.float64, requires_grad=True)
    x = image().requires_grad_()
    ours = svla(x, text)
    theirs = svla_reference(svla, x, text, kernels, (C if scale == 'visual' else C_TEXT) ** 0.5)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    inputs = [x, *svla.parameters(), *([] if text is None else [text.tokens])]
    seed = torch.randn_like(x)
    for a, b in zip(*(torch.autograd.grad(y, inputs, seed) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


@fusions
def test_fusion_value_and_gradients(randomise, make_text, fusion):
    svla = make(randomise, **fusion)
    text, x = make_text((4, 2), C_TEXT, dtype=torch.float64, requires_grad=True), image().requires_grad_()
    ours, theirs = svla(x, text), svla_reference(svla, x, text, **fusion)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    named = dict(svla.named_parameters())
    assert any('.v2.' in name for name in named) == fusion.get('pixel_map', True)
    assert sum('.gate.' in name for name in named) == (2 if fusion.get('gate') else 0)
    inputs, seed = [x, text.tokens, *named.values()], torch.randn_like(x)
    for a, b in zip(*(torch.autograd.grad(y, inputs, seed) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


def test_fusions_differ(randomise, make_text):
    text, x = make_text((4, 2), C_TEXT, dtype=torch.float64), image()
    whole = make(randomise, gate=True)
    seen = []
    for fusion in FUSIONS:
        svla = SVLA(C, C_TEXT, **fusion).double()
        left = svla.load_state_dict(whole.state_dict(), strict=False)
        assert not left.missing_keys
        seen.append(svla(x, text))
    for i, a in enumerate(seen):
        assert all((a - b).abs().mean() > 0.01 * a.abs().mean() for b in seen[:i])


def test_the_two_scales_differ(randomise, make_text):
    text, x = make_text((4, 2), C_TEXT, dtype=torch.float64), image()
    a, b = make(randomise), make(randomise, language_scale='visual')
    b.load_state_dict(a.state_dict())
    assert not torch.allclose(a(x, text), b(x, text), rtol=1e-3)


def test_word_weights_sum_to_one_over_real_tokens_only(randomise, make_text):
    svla, text = make(randomise), make_text((4, 2, 0), C_TEXT, pad_to=5, dtype=torch.float64)
    weights = svla.language.attention(image(3), text)
    assert weights.shape == (3, 35, 5)
    torch.testing.assert_close(weights.sum(-1), torch.tensor([[1.0], [1.0], [0.0]]).double().expand(3, 35))
    assert weights.masked_select(~text.mask[:, None].expand_as(weights)).eq(0).all()


@fusions
@pytest.mark.parametrize('garbage', [1.0, 1e4, -1e4])
def test_padding_never_matters(randomise, make_text, garbage, fusion):
    svla, x = make(randomise, **fusion), image()
    text = make_text((4, 2), C_TEXT, dtype=torch.float64)
    junk = garbage * torch.randn(2, 6, C_TEXT, dtype=torch.float64)
    tokens = torch.where(text.mask[..., None], text.tokens, junk[:, :4])
    padded = TextFeatures.from_tokens(torch.cat([tokens, junk[:, 4:]], 1), F.pad(text.mask, (0, 2)))
    torch.testing.assert_close(svla(x, padded), svla(x, text), rtol=1e-10, atol=1e-10)


def test_order_of_words_is_the_text_encoders_affair(randomise, make_text):
    svla, x, text = make(randomise), image(1), make_text((4,), C_TEXT, dtype=torch.float64)
    turned = TextFeatures.from_tokens(text.tokens.flip(1), text.mask)
    torch.testing.assert_close(svla(x, turned), svla(x, text), rtol=1e-9, atol=1e-9)


@fusions
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.bfloat16])
def test_a_sentence_without_tokens_adds_nothing(randomise, make_text, dtype, fusion):
    """The norm of nothing is nothing, and so is its gate."""
    svla = make(randomise, **fusion).to(dtype)
    plain = SVLA(C, None).to(dtype)
    plain.load_state_dict({k: v for k, v in svla.state_dict().items() if 'language' not in k}, strict=True)
    x = image().to(dtype).requires_grad_()
    tokens = torch.randn(2, 3, C_TEXT, dtype=dtype, requires_grad=True)
    y = svla(x, TextFeatures.from_tokens(tokens, torch.zeros(2, 3, dtype=torch.bool)))
    tolerance = {torch.float64: 1e-9, torch.float32: 1e-5, torch.bfloat16: 0.02}[dtype]
    torch.testing.assert_close(y, plain(x), rtol=tolerance, atol=tolerance)
    y.sum().backward()
    for gradient in (x.grad, tokens.grad, *(p.grad for p in svla.parameters())):
        assert gradient.isfinite().all()


@fusions
def test_one_sentence_without_tokens_does_not_touch_its_neighbour(randomise, make_text, fusion):
    svla, x, text = make(randomise, **fusion), image(), make_text((4, 0), C_TEXT, dtype=torch.float64)
    alone = TextFeatures(text.tokens[:1], text.mask[:1], text.pooled[:1])
    torch.testing.assert_close(svla(x, text)[:1], svla(x[:1], alone), rtol=1e-10, atol=1e-10)
    assert svla(x, text).isfinite().all()


def test_text_changes_the_output(randomise, make_text):
    svla, x = make(randomise), image()
    a, b = (svla(x, make_text((4, 4), C_TEXT, dtype=torch.float64)) for _ in range(2))
    assert (a - b).abs().mean() > 0.01 * a.abs().mean()


def test_text_free_has_no_language_parameters():
    assert not [n for n, _ in SVLA(C, None).named_parameters() if 'language' in n]
    assert len([n for n, _ in SVLA(C, C_TEXT).named_parameters() if 'language' in n]) == 7


@pytest.mark.parametrize('kernels', [(7, 10), ()])
def test_bad_kernels(kernels):
    with pytest.raises(ValueError, match='odd'):
        SVLA(C, None, kernels)


def test_bad_scale():
    with pytest.raises(ValueError, match="'text' or 'visual'"):
        SVLA(C, C_TEXT, language_scale='sqrt')


# Blocks, eq. 2-3


def batch_norm(x, norm, training):
    if training:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    else:
        mean, var = norm.running_mean, norm.running_var
    mean, var, weight, bias = (v[:, None, None] for v in (mean, var, norm.weight, norm.bias))
    return (x - mean) / (var + norm.eps).sqrt() * weight + bias


def each(function, x, *arguments):
    return torch.stack([function(image, *arguments) for image in x])


def feed_forward(block, x):
    x = each(pointwise, x, *parameters(block, 'mlp.fc1'))
    x = F.gelu(each(depthwise, x, *parameters(block, 'mlp.dwconv')))
    return each(pointwise, x, *parameters(block, 'mlp.fc2'))


def post_norm(block, x, text, training):
    attended = svla_reference(block.attn['spatial_gating_unit'], x, text)
    x = batch_norm(attended + x, block.norm1, training)
    return batch_norm(feed_forward(block, x) + x, block.norm2, training)


def pre_norm(block, x, text, training):
    y = batch_norm(x, block.norm1, training)
    inner = F.gelu(each(pointwise, y, *parameters(block, 'attn.proj_1')))
    inner = svla_reference(block.attn.spatial_gating_unit, inner, text)
    inner = each(pointwise, inner, *parameters(block, 'attn.proj_2')) + y
    x = x + block.layer_scale_1[:, None, None] * inner
    y = feed_forward(block, batch_norm(x, block.norm2, training))
    return x + block.layer_scale_2[:, None, None] * y


def block(position, text_channels=C_TEXT, drop_path=0.0):
    return SVLABlock(C, text_channels, (7, 11, 21), 2, drop_path, position, 'text', BN)


@pytest.mark.parametrize('training', [True, False], ids=['train', 'eval'])
@pytest.mark.parametrize('with_text', [True, False], ids=['text', 'text-free'])
@pytest.mark.parametrize(('position', 'reference'), [('pre', pre_norm), ('post', post_norm)])
def test_block_value_and_gradients(randomise, make_text, position, reference, with_text, training):
    module = randomise(block(position, C_TEXT if with_text else None)).double().train(training)
    text = make_text((4, 2), C_TEXT, dtype=torch.float64) if with_text else None
    x = image().requires_grad_()
    theirs = reference(module, x, text, training)  # before ours moves the running statistics
    ours = module(x, text)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    seed, inputs = torch.randn_like(x), [x, *module.parameters()]
    for a, b in zip(*(torch.autograd.grad(y, inputs, seed) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


def test_layer_scale_starts_at_a_hundredth_and_post_norm_has_none():
    pre, post = (dict(block(p).named_parameters()) for p in ('pre', 'post'))
    assert pre['layer_scale_1'].eq(0.01).all()
    assert pre['layer_scale_2'].eq(0.01).all()
    extra = {'layer_scale_1', 'layer_scale_2', *(f'attn.proj_{i}.{k}' for i in (1, 2) for k in ('weight', 'bias'))}
    assert pre.keys() - post.keys() == extra
    assert post.keys() < pre.keys()


@pytest.mark.parametrize('position', ['pre', 'post'])
def test_drop_path_drops_whole_branches_in_training_only(randomise, make_text, position):
    """With probability 0.5 an image passes through both branches, one, or none: at most four outcomes."""
    module = randomise(block(position, drop_path=0.5)).double().eval()
    text, x = make_text((3,), C_TEXT, dtype=torch.float64), image(1)
    reference = pre_norm if position == 'pre' else post_norm
    torch.testing.assert_close(module(x, text), reference(module, x, text, False), rtol=1e-9, atol=1e-9)
    module.drop_path.train()  # norms stay as they are
    seen = {round(module(x, text).sum().item(), 6) for _ in range(64)}
    assert len(seen) == 4


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_with_tokens_that_are_alike(randomise, make_text, dtype):
    """Tokens share most of their value, as BERT's do; and a constant map, which two norms stretch by 1 / sqrt(eps)."""
    svla = make(randomise).float()
    text = make_text((4, 3), C_TEXT)
    alike = text._replace(tokens=text.tokens * 0.1 + 3 * torch.randn(C_TEXT))
    for x in (image().float(), torch.full((2, C, 5, 7), 0.3), image(height=1, width=1).float()):
        exact = svla(x, alike)
        with torch.autocast('cpu', dtype):
            rough = svla(x, alike)
        assert rough.isfinite().all()
        assert (rough - exact).abs().mean() < 0.1 * exact.abs().mean()
