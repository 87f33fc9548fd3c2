"""PPE as a backbone: shapes, sizes, text, gradients, precision, export."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from torch import nn

from mmseg_textseg.models import PPE, TextFeatures
from mmseg_textseg.tokenization import SPECIAL

C, C_TEXT, T = 8, 12, 5
SIZE = (32, 48)
SMALL = dict(base_channels=C, img_size=SIZE, text_channels=C_TEXT, num_text_tokens=T, num_heads=2)
mixings = pytest.mark.parametrize('mixing', ['conv', 'attention'])
close = dict(rtol=1e-9, atol=1e-9)


@pytest.fixture
def make(randomise):
    """Function (**options) -> PPE in float64 and evaluation, weights drawn anew."""
    return lambda **options: randomise(PPE(**{**SMALL, **options})).double().eval()


@pytest.fixture
def text(make_text):
    return make_text((5, 3), dtype=torch.float64)


def image(batch=2, size=SIZE, dtype=torch.float64):
    return torch.randn(batch, 3, *size, dtype=dtype)


# Shapes


def test_shapes_and_parameters_of_the_paper(make_text):
    """C = 64, T = 10, 224 x 224. Counted by hand; convolutions before a norm have no bias."""
    with torch.device('meta'):
        ppe = PPE()
        maps = ppe(torch.empty(2, 3, 224, 224), TextFeatures.empty(2, 10, 768, torch.empty(1)))
    assert [tuple(y.shape) for y in maps] == [(2, 64, 224, 224), (2, 128, 112, 112), (2, 256, 56, 56)]
    patches = (224 // 16) ** 2
    image_branch = sum(9 * i * o + 2 * o for i, o in ((3, 64), (64, 128), (128, 256)))
    text_branch = sum(3 * i * o + o for i, o in ((768, 512), (512, 256), (256, 128), (128, 64)))
    mixing = 3 * 10 * patches + 2 * patches
    embeddings = sum(c * c * p * p + c + c * patches for c, p in ((64, 16), (128, 8), (256, 4)))
    # Q, K, V, output: 4 c (c + 1); MLP: c (4c) + 4c + (4c) c + c; two layer norms: 4 c. Down and up.
    transformers = 2 * sum(4 * c * (c + 1) + 8 * c * c + 5 * c + 4 * c for c in (64, 128, 256))
    narrowing = 2 * sum(3 * c * (c // 2) + 2 * (c // 2) for c in (128, 256))
    fusion = sum(c * c + 2 * c for c in (64, 128, 256))
    parts = dict(
        stem=3 * 9 * 64 + 128,
        text_convs=text_branch,
        mixing=mixing,
        patches=embeddings,
        fusion=fusion,
    )
    count = lambda m: sum(p.numel() for p in m.parameters())  # noqa: E731
    assert {name: count(getattr(ppe, name)) for name in parts} == parts
    total = image_branch + text_branch + mixing + embeddings + transformers + narrowing + fusion
    assert count(ppe) == total == 7_717_696
    assert ppe.out_channels == (64, 128, 256)


def test_defaults_are_the_papers():
    with torch.device('meta'):
        ppe = PPE()
    assert (ppe.img_size, ppe.text_channels, ppe.num_text_tokens) == ((224, 224), 768, 10)
    assert ppe.patch_sizes == (16, 8, 4)
    assert ppe.grid == (14, 14)
    assert [(len(v), v[0].attn.attn.num_heads) for v in (*ppe.down_vits, *ppe.up_vits)] == [(1, 8)] * 6
    assert {m.p for m in ppe.patches.modules() if isinstance(m, nn.Dropout)} == {0.1}
    for vit in (*ppe.down_vits, *ppe.up_vits):
        assert vit[0].attn.proj_drop.p == 0.1
        assert [m.p for m in vit[0].ffn.layers.modules() if isinstance(m, nn.Dropout)] == [0.1, 0.1]
    assert isinstance(ppe.down_blocks[0][1], nn.MaxPool2d)  # after the convolution
    assert isinstance(MODELS.build(dict(type='PPE', **SMALL)), PPE)


@pytest.mark.parametrize('size', [(32, 48), (33, 47), (16, 16), (70, 20), (5, 1)], ids=str)
@pytest.mark.parametrize('pool', ['after', 'before'])
@pytest.mark.parametrize('channels', [C_TEXT, None], ids=['text', 'text-free'])
def test_sizes_and_layout(make_text, size, pool, channels):
    ppe = PPE(**{**SMALL, 'text_channels': channels}, token_mixing='attention', pool=pool).eval()
    arguments = () if channels is None else (make_text((5, 3)),)
    for y, width, stride in zip(ppe(image(size=size).float(), *arguments), (C, 2 * C, 4 * C), (1, 2, 4), strict=True):
        assert y.shape == (2, width, -(-size[0] // stride), -(-size[1] // stride))
        assert y.is_contiguous(memory_format=torch.channels_last)
        assert y.isfinite().all()


def test_text_free_takes_any_size_with_either_mixing(make):
    a, b = make(text_channels=None, token_mixing='conv'), make(text_channels=None, token_mixing='attention')
    assert not [name for name in a.state_dict() if 'text' in name or 'mixing' in name]
    b.load_state_dict(a.state_dict(), strict=True)
    x = image(size=(40, 22))
    assert all(torch.equal(p, q) for p, q in zip(a(x), b(x), strict=True))
    assert a.num_text_tokens is None
    assert not a.uses_text


def test_positions_matter_at_every_scale(make):
    ppe, x = make(text_channels=None), image()
    before = ppe(x)
    for patches in ppe.patches:
        nn.init.normal_(patches.position)
        after = ppe(x)
        assert (after[0] - before[0]).abs().max() > 1e-3
        before = after


# Text


@mixings
def test_text_changes_every_map(make, make_text, mixing):
    ppe, x = make(token_mixing=mixing), image()
    a, b = (ppe(x, make_text((5, 3), dtype=torch.float64)) for _ in range(2))
    for i, (p, q) in enumerate(zip(a, b, strict=True)):
        assert (p - q).abs().mean() > 1e-3 * p.abs().mean(), i


@mixings
@pytest.mark.parametrize('garbage', [0.0, 1.0, 1e4])
def test_padding_never_matters(make, make_text, mixing, garbage):
    ppe, x = make(token_mixing=mixing), image()
    text = make_text((3, 2), dtype=torch.float64)
    junk = garbage * torch.randn(2, T, C_TEXT, dtype=torch.float64)
    mask = F.pad(text.mask, (0, T - 3))
    tokens = torch.where(mask[..., None], F.pad(text.tokens, (0, 0, 0, T - 3)), junk)
    for a, b in zip(ppe(x, TextFeatures.from_tokens(tokens, mask)), ppe(x, text), strict=True):
        torch.testing.assert_close(a, b, **close)


@mixings
def test_a_batch_element_equals_the_sample_alone(make, text, mixing):
    ppe, x = make(token_mixing=mixing), image()
    whole = ppe(x, text)
    for i, length in enumerate((5, 3)):
        alone = TextFeatures.from_tokens(text.tokens[i : i + 1, :length], text.mask[i : i + 1, :length])
        for a, b in zip(whole, ppe(x[i : i + 1], alone), strict=True):
            torch.testing.assert_close(a[i : i + 1], b, **close)


@mixings
@pytest.mark.parametrize('lengths', [(4, 0), (0, 0)], ids=str)
def test_a_sentence_without_tokens_is_finite(make, make_text, mixing, lengths):
    ppe, text = make(token_mixing=mixing).train(), make_text(lengths, dtype=torch.float64, requires_grad=True)
    maps = ppe(image(), text)
    sum((y * torch.randn_like(y)).sum() for y in maps).backward()
    assert all(y.isfinite().all() for y in maps)
    assert all(p.grad.isfinite().all() for p in ppe.parameters())
    assert text.tokens.grad.isfinite().all()


# Errors


def test_conv_mixing_is_tied_to_size_and_tokens(make, make_text):
    ppe = make()
    with pytest.raises(ValueError, match=r"32 x 48 images, got 32 x 64: .*img_size.*token_mixing='attention'"):
        ppe(image(size=(32, 64)), make_text((5, 3), dtype=torch.float64))
    with pytest.raises(ValueError, match=r"=5\) got 6 tokens: .*max_tokens=5.*num_text_tokens.*'attention'"):
        ppe(image(), make_text((6, 3), dtype=torch.float64))
    other = make(token_mixing='attention')
    assert other(image(size=(32, 64)), make_text((6, 3), dtype=torch.float64))[0].shape[2:] == (32, 64)


def test_text_missing_and_text_unwanted(make, text):
    with pytest.raises(ValueError, match=r'needs text=.*text_channels=None'):
        make()(image())
    with pytest.raises(ValueError, match='takes no text'):
        make(text_channels=None)(image(), text)


BAD = [
    (dict(token_mixing='add'), "'conv' or 'attention'"),
    (dict(pool='never'), "'after' or 'before'"),
    (dict(patch_size=6), 'multiple of 4'),
    (dict(num_heads=3), 'multiple of num_heads=3'),
    (dict(frozen=True), 'needs init_cfg'),
]


@pytest.mark.parametrize(('change', 'message'), BAD, ids=[next(iter(b[0])) for b in BAD])
def test_bad_options(change, message):
    with pytest.raises(ValueError, match=message):
        PPE(**{**SMALL, **change})


# Gradients


@mixings
@pytest.mark.parametrize('ablation', [{}, dict(down_vit=False), dict(up_vit=False)], ids=str)
@pytest.mark.parametrize('channels', [C_TEXT, None], ids=['text', 'text-free'])
def test_every_parameter_gets_a_gradient(make, make_text, channels, ablation, mixing):
    ppe = make(text_channels=channels, token_mixing=mixing, **ablation).train()
    text = None if channels is None else make_text((5, 3), dtype=torch.float64, requires_grad=True)
    maps = ppe(image(), text)
    sum((y * torch.randn_like(y)).sum() for y in maps).backward()
    for name, p in ppe.named_parameters():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
        assert p.grad.abs().max() > 1e-6, name
    if text is not None:
        assert text.tokens.grad[text.mask].abs().amax(1).min() > 1e-6  # of every word


def test_ablations_have_no_idle_parameters():
    names = {key: {n.split('.')[0] for n, _ in PPE(**SMALL, **{key: False}).named_parameters()} for key in
             ('down_vit', 'up_vit')}  # fmt: skip
    everything = {n.split('.')[0] for n, _ in PPE(**SMALL).named_parameters()}
    assert everything - names['down_vit'] == {'down_vits', 'down_convs'}
    assert everything - names['up_vit'] == {'up_vits', 'up_convs'}


# Precision, export


@mixings
def test_bfloat16_autocast(make, text, mixing):
    # 8 wide: PyTorch's bfloat16 convolutions of few channels with a large kernel and stride are wrong on some CPUs
    # (pytorch/pytorch#163347), so the patch embeddings must not be one.
    ppe, x = make(base_channels=8, token_mixing=mixing).float(), image(dtype=torch.float32)
    words = TextFeatures(text.tokens.float(), text.mask, text.pooled.float())
    full = ppe(x, words)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = ppe(x, words)
    for a, b in zip(half, full, strict=True):
        assert (a.float() - b).abs().mean() < 0.03 * b.abs().mean()
    sum(y.float().square().mean() for y in half).backward()
    assert all(p.grad.isfinite().all() for p in ppe.parameters())


@mixings
@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')  # comparisons of sizes
def test_traces(make, make_text, mixing):
    """Nothing in it depends on the data, nor does the mask of the traced batch become a constant."""
    ppe, x = make(token_mixing=mixing).requires_grad_(False), image()
    a, b = make_text((5, 3), dtype=torch.float64), make_text((5, 0), dtype=torch.float64)
    traced = torch.jit.trace(lambda x, *text: ppe(x, TextFeatures(*text)), (x, *a), check_trace=False)
    other = image()
    for p, q in zip(traced(other, *b), ppe(other, b), strict=True):
        torch.testing.assert_close(p, q, **close)


@pytest.mark.slow
def test_a_whole_text_model_exports(tiny_bert):
    config = dict(
        type='TextEncoderDecoder',
        text_encoder=dict(
            type='BertTextEncoder',
            pretrained=None,
            tokenizer=dict(vocab=[*SPECIAL, 'lesion']),
            arch={**tiny_bert, 'num_hidden_layers': 1},
        ),
        backbone=dict(type='PPE', **{**SMALL, 'text_channels': 16}),
        decode_head=dict(type='MSFFUpAttentionHead', in_channels=(C, 2 * C, 4 * C)),
        test_cfg=dict(mode='whole'),
    )
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(config).eval()
    exported = torch.export.export(model, (torch.randn(1, 3, *SIZE),)).module()
    other = torch.randn(1, 3, *SIZE)
    with torch.no_grad():
        torch.testing.assert_close(exported(other), model(other))
        assert exported(other).shape == (1, 1, *SIZE)
