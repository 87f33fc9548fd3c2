"""The attention and the gate against the paper's formulas in plain torch, float64, with every bias that they name."""

import math

import pytest
import torch
import torch.nn.functional as F

from mmseg_textseg.models import LanguageGate, PixelWordAttention, TextFeatures

C, C_T, H, W = 8, 12, 5, 7


def paper_attention(state, v, words, heads, biases):
    """3.2 for one image: V (C, H, W), L (C_t, T), as 1 x 1 convolutions on maps, word by word and head by head."""

    def conv(x, name, bias=None):
        return F.conv2d(x, state[f'{name}.weight'][:, :, None, None], bias)

    def norm(x):  # of one map: each channel to mean 0, variance 1
        flat = x.flatten(2)
        return ((flat - flat.mean(2, keepdim=True)) / (flat.var(2, correction=0, keepdim=True) + 1e-5).sqrt()).view_as(
            x
        )

    v, words = v[None], words[None, :, None]
    query = norm(conv(v, 'query', biases[0]))[0].flatten(1)  # (C, N)
    key, value = (conv(words, n, b)[0, :, 0] for n, b in zip(('key', 'value'), biases[1:3], strict=True))  # (C, T)
    size = v.shape[1] // heads
    gathered = []
    for h in range(heads):
        q, k, u = (x[h * size : (h + 1) * size] for x in (query, key, value))
        weights = torch.exp(q.T @ k / math.sqrt(size))
        gathered.append((weights / weights.sum(1, keepdim=True)) @ u.T)  # (N, c)
    g = torch.cat(gathered, 1).T.view(1, -1, *v.shape[2:])
    g = norm(conv(g, 'project_words', biases[3]))
    m = conv(v, 'project_pixels.0', state['project_pixels.0.bias']).clamp(min=0)
    return conv(m * g, 'out.0', state['out.0.bias']).clamp(min=0)[0]


def as_rows(maps):
    return maps.flatten(2).transpose(1, 2)


@pytest.fixture
def attention(randomise):
    return randomise(PixelWordAttention(C, C_T)).double()


@pytest.mark.parametrize('heads', [1, 2, 4])
def test_attention_is_the_papers(randomise, make_text, heads):
    """Also with random biases at the four layers that have none here: they cancel."""
    module = randomise(PixelWordAttention(C, C_T, heads)).double()
    text = make_text((5, 3), C_T, dtype=torch.float64)
    maps = torch.randn(2, C, H, W, dtype=torch.float64)
    found = module(as_rows(maps), text)
    for biases in ([None] * 4, list(torch.randn(4, C, dtype=torch.float64))):
        for i, length in enumerate((5, 3)):
            words = text.tokens[i, :length].T
            expected = paper_attention(module.state_dict(), maps[i], words, heads, biases)
            torch.testing.assert_close(found[i], expected.flatten(1).T, rtol=1e-9, atol=1e-9)
    assert 0.1 < (found > 0).double().mean() < 0.9


def test_gate_is_the_papers(randomise):
    """S = tanh(conv(relu(conv(F)))), and S * F goes on."""
    gate = randomise(LanguageGate(C)).double()
    fused = torch.randn(2, C, H, W, dtype=torch.float64)
    first, second = (w[:, :, None, None] for w in gate.parameters())
    weights = F.conv2d(F.conv2d(fused, first).clamp(min=0), second).tanh()
    torch.testing.assert_close(gate(as_rows(fused)), as_rows(weights * fused), rtol=1e-12, atol=1e-12)
    assert (gate(as_rows(fused)).abs() <= as_rows(fused).abs()).all()


def test_a_gate_of_zeros_is_shut():
    gate = LanguageGate(C)
    for weight in gate.parameters():
        torch.nn.init.zeros_(weight)
    assert gate(torch.randn(2, 6, C)).eq(0).all()


def test_weights_of_words(attention, make_text):
    text = make_text((5, 3, 0), C_T, dtype=torch.float64)
    weights = attention.attention(torch.randn(3, H * W, C, dtype=torch.float64), text)
    assert weights.shape == (3, 1, H * W, 5)
    torch.testing.assert_close(weights[:2].sum(-1), torch.ones(2, 1, H * W, dtype=torch.float64))
    assert weights[1, ..., 3:].eq(0).all()
    assert weights[2].eq(0).all()


def test_what_stands_on_padding_does_not_matter(attention, make_text):
    text = make_text((5, 3), C_T, dtype=torch.float64)
    noise = torch.randn_like(text.tokens) * ~text.mask[..., None] * 1e3
    pixels = torch.randn(2, H * W, C, dtype=torch.float64)
    assert torch.equal(attention(pixels, text), attention(pixels, text._replace(tokens=text.tokens + noise)))


def test_a_sentence_without_tokens_says_the_same_of_every_pixel(attention):
    text = TextFeatures.empty(2, 4, C_T, torch.zeros(1, dtype=torch.float64))
    found = attention(torch.randn(2, H * W, C, dtype=torch.float64), text)
    torch.testing.assert_close(found, attention.out[0].bias.clamp(min=0).expand_as(found))


def test_activation_is_an_option(make_text):
    module = PixelWordAttention(C, C_T, act_cfg=dict(type='GELU'))
    assert module(torch.randn(2, 9, C), make_text(channels=C_T)).min() < 0


def test_heads_must_divide_the_channels():
    with pytest.raises(ValueError, match='8 channels cannot be divided among 3 heads'):
        PixelWordAttention(8, C_T, 3)
