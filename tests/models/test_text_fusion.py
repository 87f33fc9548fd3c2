"""LanguageFusion and CrossAttentionFusion against their equations, written again pixel by pixel and head by head."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import nn

from mmseg_textseg.models import CrossAttentionFusion, LanguageFusion, TextFeatures, TextFusion

C, WORDS = 8, 12
KINDS = {
    'language': (LanguageFusion, {}),
    'language-visual': (LanguageFusion, dict(language_scale='visual')),
    'language-gate': (LanguageFusion, dict(gate=True, pixel_map=False)),
    'cross': (CrossAttentionFusion, dict(num_heads=2)),
    'cross-narrow': (CrossAttentionFusion, dict(num_heads=3, embed_channels=6)),
}


@pytest.fixture(params=list(KINDS))
def fusion(request, randomise):
    """One fusion in float64, random weights, gains of both signs."""
    kind, options = KINDS[request.param]
    made = randomise(kind(C, WORDS, **options)).double().eval()
    nn.init.normal_(made.gain)
    return made


def maps(batch=2, size=(3, 4), dtype=torch.float64):
    return torch.randn(batch, C, *size, dtype=dtype).contiguous(memory_format=torch.channels_last)


@pytest.fixture
def text(make_text):
    return make_text((5, 3), WORDS, dtype=torch.float64)


# The equations again: one image, lists of its pixels and its real tokens


def instance_norm(pixels, eps=1e-5):
    return (pixels - pixels.mean(0)) / (pixels.var(0, unbiased=False) + eps).sqrt()


def linear(x, module):
    weight = module.weight.flatten(1)
    return x @ weight.T + (0 if module.bias is None else module.bias)


def language_words(fusion, pixels, tokens):
    """LSMS eq. 5-9."""
    branch = fusion.language
    query = instance_norm(linear(pixels, branch.v1[0]))
    keys, values = linear(tokens, branch.l1), linear(tokens, branch.l2)
    score = query @ keys.T * branch.scale  # (N, T)
    weights = score.exp() / score.exp().sum(1, keepdim=True)
    words = instance_norm(linear(weights @ values, branch.out[0]))
    if branch.gate is not None:
        words = torch.tanh(linear(linear(words, branch.gate[0]).clamp(min=0), branch.gate[2])) * words
    return words if branch.v2 is None else words * instance_norm(linear(pixels, branch.v2[0]))


def cross_words(fusion, pixels, tokens):
    """softmax(Q K^T / sqrt(D)) V of each head, the heads side by side, projected."""
    normed = (pixels - pixels.mean(1, keepdim=True)) / (pixels.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    normed = normed * fusion.norm.weight + fusion.norm.bias
    query, keys, values = linear(normed, fusion.query), linear(tokens, fusion.key), linear(tokens, fusion.value)
    depth = query.shape[1] // fusion.num_heads
    heads = []
    for head in range(fusion.num_heads):
        own = slice(head * depth, (head + 1) * depth)
        score = query[:, own] @ keys[:, own].T / math.sqrt(depth)
        heads.append(score.exp() / score.exp().sum(1, keepdim=True) @ values[:, own])
    return linear(torch.cat(heads, 1), fusion.out)


def reference(fusion, x, text):
    words = language_words if isinstance(fusion, LanguageFusion) else cross_words
    out = []
    for image, tokens, mask in zip(x, text.tokens, text.mask, strict=True):
        pixels = image.flatten(1).T
        y = pixels + fusion.gain * words(fusion, pixels, tokens[mask])
        out.append(y.T.reshape(image.shape))
    return torch.stack(out)


def test_equations(fusion, text):
    x = maps()
    found = fusion(x, text)
    torch.testing.assert_close(found, reference(fusion, x, text))
    assert (found - x).abs().mean() > 0.05


def test_memory_layout_and_width_are_kept(fusion, text):
    assert fusion(maps(), text).is_contiguous(memory_format=torch.channels_last)
    plain = maps().contiguous()
    torch.testing.assert_close(fusion(plain, text), reference(fusion, plain, text))
    wide = fusion(maps(size=(5, 2)), text)
    assert wide.shape == (2, C, 5, 2)


# Text


def test_padding_and_neighbours_change_nothing(fusion, text):
    x = maps()
    expected = fusion(x, text)
    noise = torch.full((2, 4, WORDS), 1e3, dtype=torch.float64)
    tokens = torch.where(text.mask[..., None], text.tokens, 1e3)  # padding within, and more behind
    longer = TextFeatures(
        torch.cat([tokens, noise], 1), torch.cat([text.mask, torch.zeros(2, 4, dtype=torch.bool)], 1), text.pooled
    )
    torch.testing.assert_close(fusion(x, longer), expected)
    for i, length in enumerate((5, 3)):
        alone = TextFeatures(*(field[i : i + 1] for field in text))
        alone = alone._replace(tokens=alone.tokens[:, :length], mask=alone.mask[:, :length])
        torch.testing.assert_close(fusion(x[i : i + 1], alone), expected[i : i + 1])


@pytest.mark.parametrize('fill', [0.0, 3.0])
def test_a_sentence_without_tokens_adds_exactly_nothing(fusion, text, fill):
    """Beside one with tokens, which is as it was; forward and backward."""
    x = maps().requires_grad_()
    tokens, mask = text.tokens.clone(), text.mask.clone()
    tokens[1], mask[1] = fill, False
    tokens.requires_grad_()
    found = fusion(x, TextFeatures(tokens, mask, text.pooled))
    assert torch.equal(found[1], x[1])
    torch.testing.assert_close(found[0], fusion(x, text)[0])
    (found**2).sum().backward()
    torch.testing.assert_close(x.grad[1], 2 * x[1].detach())
    assert tokens.grad[0].abs().gt(0).any()
    assert not tokens.grad[1].any()
    assert all(p.grad.isfinite().all() for p in fusion.parameters())
    null = TextFeatures.empty(2, 4, WORDS, x)
    assert torch.equal(fusion(x, null), x)


def test_no_row_of_the_softmax_is_empty(monkeypatch, randomise, text):
    """torch's kernel makes zeros of such a row, others make NaN."""

    def plain(query, key, value, attn_mask):
        score = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        return score.masked_fill(~attn_mask, -torch.inf).softmax(-1) @ value

    cross = randomise(CrossAttentionFusion(C, WORDS, num_heads=2)).double()
    x, text = maps(), text._replace(mask=text.mask & torch.tensor([[True], [False]]))
    expected = cross(x, text)
    monkeypatch.setattr(F, 'scaled_dot_product_attention', plain)
    torch.testing.assert_close(cross(x, text), expected)
    assert torch.equal(cross(x, text)[1], x[1])


def test_each_pixel_has_its_own_words(fusion, text):
    """What is added to a pixel follows from it, not from the sentence alone."""
    x = maps(size=(4, 4))
    one = fusion(x, text) - x
    assert one.flatten(2).std(2).min() > 1e-3
    other = fusion(x, text._replace(tokens=text.tokens.roll(1, 0), mask=text.mask.roll(1, 0))) - x
    assert (one - other).abs().mean() > 1e-2


# Training


def test_every_parameter_map_and_token_gets_a_gradient(fusion, make_text):
    x, text = maps().requires_grad_(), make_text((5, 3), WORDS, dtype=torch.float64, requires_grad=True)
    (fusion.train()(x, text) * maps()).sum().backward()
    grads = {name: p.grad for name, p in fusion.named_parameters()} | {'map': x.grad, 'tokens': text.tokens.grad}
    for name, grad in grads.items():
        assert grad is not None, name
        assert grad.isfinite().all(), name
        # The biases of keys and values stand before a softmax and an instance norm, which take them out again.
        idle = name.startswith('language.') and name.endswith('.bias')
        assert idle or grad.abs().max() > 1e-6, name
    assert not text.tokens.grad[1, 3:].any()


@pytest.mark.parametrize('kind', [LanguageFusion, CrossAttentionFusion])
def test_new_fusion_lets_the_words_count(kind, text):
    """Before any training, at the default gain, and a tenth of it at a tenth of the gain."""
    torch.manual_seed(3)
    new = kind(C, WORDS).double()
    torch.manual_seed(3)
    small = kind(C, WORDS, init_gain=0.1).double()
    x = maps()
    added = new(x, text) - x
    assert added.abs().mean() > 0.01
    torch.testing.assert_close(small(x, text) - x, 0.1 * added)


@pytest.mark.parametrize('name', list(KINDS))
def test_state_dict_round_trip(randomise, name, text):
    kind, options = KINDS[name]
    a, b = randomise(kind(C, WORDS, **options)).double(), kind(C, WORDS, **options).double()
    x = maps()
    assert not torch.equal(a(x, text), b(x, text))
    b.load_state_dict(a.state_dict(), strict=True)
    assert torch.equal(a(x, text), b(x, text))


@pytest.mark.parametrize('kind', [LanguageFusion, CrossAttentionFusion])
def test_bfloat16(kind, make_text, randomise):
    """Under autocast the result is close to float32's, a sentence without tokens included; so is the module in it."""
    fusion = randomise(kind(C, WORDS))
    x, text = maps(size=(6, 6), dtype=torch.float32), make_text((5, 3), WORDS)
    text = text._replace(mask=text.mask & torch.tensor([[True], [False]]))
    expected = fusion(x, text)
    with torch.autocast('cpu', torch.bfloat16):
        found = fusion(x.requires_grad_(), text)
        found.float().pow(2).sum().backward()
    torch.testing.assert_close(found.float(), expected, atol=0.1, rtol=0.1)
    assert all(p.grad.isfinite().all() for p in fusion.parameters())
    half = TextFeatures(text.tokens.bfloat16(), text.mask, text.pooled.bfloat16())
    found = fusion.bfloat16()(x.detach().bfloat16(), half)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected.detach(), atol=0.2, rtol=0.2)


# Building


def test_registered_and_small():
    built = MODELS.build(dict(type='CrossAttentionFusion', channels=2048, text_channels=768))
    assert isinstance(built, CrossAttentionFusion)
    # norm, gain; query and out 2048 <-> 256, keys and values 768 -> 256.
    assert sum(p.numel() for p in built.parameters()) == 3 * 2048 + 2 * 2048 * 256 + 2 * 768 * 256
    built = MODELS.build(dict(type='LanguageFusion', channels=16, text_channels=768))
    assert isinstance(built, LanguageFusion)
    assert sum(p.numel() for p in built.parameters()) == 16 + 3 * 16 * 16 + 2 * (768 * 16 + 16)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match='map of 12 channels is 12 wide, which 8 heads do not divide'):
        CrossAttentionFusion(12, WORDS)
    with pytest.raises(ValueError, match='100 wide'):
        CrossAttentionFusion(12, WORDS, embed_channels=100)
    with pytest.raises(ValueError, match='0 heads'):
        CrossAttentionFusion(12, WORDS, num_heads=0)


def test_a_fusion_of_its_own(text):
    """What a subclass has to say is ``words``; gain and sentences without tokens are the base's."""

    class Pooled(TextFusion):
        def words(self, x, text):
            return text.pooled[:, :C, None, None].expand_as(x)

    x = maps()
    torch.testing.assert_close(Pooled(C).double()(x, text), x + text.pooled[:, :C, None, None])
    with pytest.raises(TypeError, match='abstract'):
        TextFusion(C)
