import pytest
import torch
from mmseg.models.backbones import SwinTransformer
from mmseg.registry import MODELS

from mmseg_textseg.models import LAVTSwin, TextFeatures

TEXT = 12
WIDTHS = (8, 16, 32, 64)


def shut(encoder):
    for weight in encoder.gates.parameters():
        torch.nn.init.zeros_(weight)
    return encoder


def visual_maps(encoder, x, text):
    """V_i of every stage, as the attention receives them, with the norms of the outputs."""
    kept = []
    hooks = [f.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0])) for f in encoder.fusions]
    maps = encoder(x, text)
    for hook in hooks:
        hook.remove()
    return [
        getattr(encoder, f'norm{i}')(v).transpose(1, 2).reshape(m.shape)
        for i, (v, m) in enumerate(zip(kept, maps, strict=True))
    ]


# The trunk


@pytest.mark.parametrize('size', [(48, 48), (45, 29)], ids=['windows fit', 'odd'])
def test_with_shut_gates_the_trunk_is_the_stock_swin(swin, randomise, make_text, size):
    stock = randomise(SwinTransformer(**swin)).double()
    stock.eval()
    encoder = shut(LAVTSwin(TEXT, **swin).double().eval())
    absent, left = encoder.load_state_dict(stock.state_dict(), strict=False)
    assert not left
    assert all(key.startswith(('fusions.', 'gates.')) for key in absent)
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    for a, b in zip(visual_maps(encoder, x, make_text(dtype=torch.float64)), stock(x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_open_gates_change_all_stages_but_the_first(encoder, make_text):
    x, text = torch.randn(2, 3, 48, 48), make_text()
    before = visual_maps(encoder, x, text)
    after = visual_maps(shut(encoder), x, text)
    changed = [(a - b).abs().max().item() > 1e-3 for a, b in zip(before, after, strict=True)]
    assert changed == [False, True, True, True]


def test_the_next_stage_sees_the_sum_and_the_decoder_the_normed_attention(encoder, make_text):
    """V_2's stage starts from the merged V_1 + S_1 * F_1; map 1 is the norm of F_1."""
    x, text = torch.randn(2, 3, 48, 48), make_text()
    seen = {}
    encoder.stages[0].blocks[-1].register_forward_hook(lambda *a: seen.update(v=a[2]))
    encoder.fusions[0].register_forward_hook(lambda *a: seen.update(f=a[2]))
    encoder.stages[1].blocks[0].register_forward_pre_hook(lambda _, inputs: seen.update(start=inputs[0]))
    first = encoder(x, text)[0]
    torch.testing.assert_close(first.flatten(2).transpose(1, 2), encoder.norm0(seen['f']))
    down = encoder.stages[0].downsample
    weights = encoder.gates[0].weights(seen['f'])
    torch.testing.assert_close(seen['start'], down(seen['v'] + weights * seen['f'], (12, 12))[0])


def test_text_free_is_the_stock_class(swin, randomise):
    stock = randomise(SwinTransformer(**swin))
    encoder = LAVTSwin(None, **swin)
    stock.eval()
    encoder.load_state_dict(stock.state_dict(), strict=True)
    x = torch.randn(2, 3, 45, 29)
    assert not encoder.uses_text
    assert all(torch.equal(a, b) for a, b in zip(encoder.eval()(x), stock(x), strict=True))


# Shapes


@pytest.mark.parametrize('size', [(64, 64), (33, 47), (4, 4), (1, 1), (5, 1)])
def test_sizes_and_layout(encoder, make_text, size):
    for y, width, stride in zip(
        encoder.train()(torch.randn(2, 3, *size), make_text()), WIDTHS, (4, 8, 16, 32), strict=True
    ):
        assert y.shape == (2, width, -(-size[0] // stride), -(-size[1] // stride))
        assert y.is_contiguous(memory_format=torch.channels_last)
        assert y.isfinite().all()


def test_layout_of_the_image_does_not_matter(encoder, make_text):
    x, text = torch.randn(2, 3, 40, 40), make_text()
    for a, b in zip(encoder(x, text), encoder(x.contiguous(memory_format=torch.channels_last), text), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_fewer_maps_and_stages(swin, make_text):
    few = {**swin, 'depths': (1, 1, 1), 'num_heads': (1, 1, 2), 'strides': (4, 2, 2), 'out_indices': (1, 2)}
    encoder = LAVTSwin(TEXT, **few)
    assert encoder.out_channels == (16, 32)
    assert [m.shape[1:] for m in encoder(torch.randn(2, 3, 32, 32), make_text())] == [(16, 4, 4), (32, 2, 2)]
    assert len(encoder.gates) == 2


# Text


def test_text_changes_every_map(encoder, make_text):
    x = torch.randn(2, 3, 48, 48)
    for a, b in zip(encoder(x, make_text()), encoder(x, make_text()), strict=True):
        assert (a - b).abs().mean() > 1e-3


def test_a_batch_element_equals_the_sample_alone(encoder, make_text):
    x, text = torch.randn(2, 3, 40, 56), make_text((5, 3))
    for i, length in enumerate((5, 3)):
        alone = TextFeatures.from_tokens(text.tokens[i : i + 1, :length], text.mask[i : i + 1, :length])
        for a, b in zip(encoder(x, text), encoder(x[i : i + 1], alone), strict=True):
            torch.testing.assert_close(a[i : i + 1], b, rtol=1e-4, atol=1e-4)


def test_a_sentence_without_tokens_is_finite_and_has_gradients(encoder, make_text):
    maps = encoder(torch.randn(2, 3, 40, 40), make_text((4, 0)))
    sum((y * torch.randn_like(y)).sum() for y in maps).backward()
    assert all(y.isfinite().all() for y in maps)
    assert all(p.grad.isfinite().all() for p in encoder.parameters())


@pytest.mark.parametrize('channels', [TEXT, None], ids=['text', 'text-free'])
def test_every_parameter_gets_a_gradient(swin, make_text, randomise, channels):
    encoder = randomise(LAVTSwin(channels, fusion_heads=2, **swin)).train()
    text = None if channels is None else make_text(requires_grad=True)
    maps = encoder(torch.randn(2, 3, 64, 64), text)
    sum((y * torch.randn_like(y)).sum() for y in maps).backward()
    none = [n for n, p in encoder.named_parameters() if p.grad is None]
    # The key's third of a qkv bias cancels in the softmax, but only that third.
    zero = [n for n, p in encoder.named_parameters() if n not in none and p.grad.abs().max() < 1e-5]
    assert (none, zero) == ([], [])
    if text is not None:
        assert text.tokens.grad.abs().max() > 1e-5


def test_training_again_and_again_is_the_same_object(encoder):
    assert encoder.train() is encoder
    assert encoder.eval() is encoder
    assert not encoder.training


def test_frozen_stages_leave_the_language_parts_trained(swin):
    encoder = LAVTSwin(TEXT, frozen_stages=2, **swin).train()
    trained = {n.split('.')[0] + '.' + n.split('.')[1] for n, p in encoder.named_parameters() if p.requires_grad}
    assert {'stages.2', 'stages.3', 'fusions.0', 'fusions.1', 'gates.0', 'gates.1'} <= trained
    assert not {'stages.0', 'stages.1', 'patch_embed.projection'} & trained


def test_bfloat16_on_a_cpu_is_finite_and_near(encoder, make_text):
    x, text = torch.randn(2, 3, 48, 48), make_text((5, 0))
    exact = encoder(x, text)
    with torch.autocast('cpu', torch.bfloat16):
        maps = encoder(x, text)
    sum(y.float().square().sum() for y in maps).backward()
    for a, b in zip(maps, exact, strict=True):
        assert a.isfinite().all()
        assert (a.float() - b).abs().mean() < 0.1 * b.abs().mean()
    assert all(p.grad.isfinite().all() for p in encoder.parameters())


def test_is_registered(swin):
    encoder = MODELS.build(dict(type='LAVTSwin', text_channels=TEXT, fusion_heads=(1, 2, 4, 8), **swin))
    assert isinstance(encoder, LAVTSwin)
    assert [f.num_heads for f in encoder.fusions] == [1, 2, 4, 8]


# Errors


def test_text_missing_unwanted_or_of_another_shape(encoder, swin, make_text):
    x = torch.randn(2, 3, 32, 32)
    with pytest.raises(ValueError, match='needs text'):
        encoder(x)
    with pytest.raises(ValueError, match='takes no text'):
        LAVTSwin(None, **swin)(x, make_text())
    with pytest.raises(ValueError, match=r'12 wide: got 2 images and tokens .* \(2, 5, 10\)'):
        encoder(x, make_text(channels=10))
    with pytest.raises(ValueError, match=r'a sentence an image.* got 2 images and tokens .* \(3, 5, 12\)'):
        encoder(x, make_text((5, 3, 1)))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(out_indices=(0, 1, 2)), 'leaves the last of 4 stages unused: add 3'),
        (dict(fusion_heads=(1, 2)), 'one for each of 4 stages'),
        (dict(fusion_heads=3), '8 channels cannot be divided among 3 heads'),
    ],
)
def test_bad_options(swin, change, message):
    with pytest.raises(ValueError, match=message):
        LAVTSwin(TEXT, **{**swin, **change})
