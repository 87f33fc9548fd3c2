from functools import partial

import pytest
import torch
from mmseg.models.backbones.mscan import MSCAN
from mmseg.registry import MODELS

from mmseg_textseg.models import SVLAEncoder, TextFeatures, WeightsError

BN = dict(type='BN', requires_grad=True)
# The table of the specification, and the stock configs' names for the same numbers.
WIDTHS = dict(tiny=(32, 64, 160, 256), small=(64, 128, 320, 512), base=(64, 128, 320, 512), large=(64, 128, 320, 512))
DEPTHS = dict(tiny=(3, 3, 5, 2), small=(2, 2, 4, 2), base=(3, 3, 12, 3), large=(3, 5, 27, 3))
DROP_PATH = dict(tiny=0.1, small=0.1, base=0.1, large=0.3)
NARROW = (8, 16, 24, 32)


def stock(name='tiny', widths=None, drop_path=0.0):
    return MSCAN(
        embed_dims=list(widths or WIDTHS[name]),
        depths=list(DEPTHS[name]),
        mlp_ratios=[8, 8, 4, 4],
        drop_path_rate=drop_path,
        norm_cfg=BN,
    )


def settle(module, x):
    """Give batch norms the statistics of ``x``, without which tens of random blocks would explode in evaluation."""
    norms = [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    module.train()(x)
    for norm in norms:
        norm.momentum = 0.1
    return module


def narrow(name, **kwargs):
    return SVLAEncoder(dict(widths=NARROW, depths=DEPTHS[name], mlp_ratios=(8, 8, 4, 4)), text_channels=None, **kwargs)


def save(module, tmp_path):
    path = str(tmp_path / 'mscan.pth')
    torch.save(dict(state_dict=module.state_dict()), path)
    return path


def strict(path, **kwargs):
    return dict(type='StrictPretrained', checkpoint=path, **kwargs)


@pytest.fixture
def encoder(tiny_arch, randomise):
    """A tiny encoder with text 12 wide, weights drawn anew."""
    return randomise(SVLAEncoder(tiny_arch, text_channels=12, drop_path_rate=0.0)).eval()


@pytest.fixture
def no_memory(monkeypatch):
    """Modules built within have shapes and no values; both encoders read their drop path rates off a tensor."""
    monkeypatch.setattr(torch, 'linspace', partial(torch.linspace, device='cpu'))
    with torch.device('meta'):
        yield


# Equality with MSCAN


@pytest.mark.parametrize('name', DEPTHS)
def test_keys_shapes_and_drop_path_are_those_of_mscan(no_memory, name):
    ours, theirs = SVLAEncoder(name, text_channels=None), stock(name, drop_path=DROP_PATH[name])
    shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (ours, theirs)]
    assert shapes[0] == shapes[1]
    rates = [
        [getattr(b.drop_path, 'drop_prob', 0.0) for i in range(1, 5) for b in getattr(m, f'block{i}')]
        for m in (ours, theirs)
    ]
    assert rates[0] == pytest.approx(rates[1])
    assert rates[0][-1] == pytest.approx(DROP_PATH[name])
    assert ours.out_channels == WIDTHS[name]


def test_parameters_of_base_are_those_of_mscan_b(no_memory):
    counts = [sum(p.numel() for p in m.parameters()) for m in (SVLAEncoder(text_channels=None), stock('base'))]
    assert counts[0] == counts[1] == 26_277_824


def assert_same(ours, theirs, x, tolerance):
    """Maps, to a fraction of their largest value, and running statistics, which training moves."""
    pairs = list(zip(ours(x), theirs(x), strict=True))
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * b.abs().max().item())
        assert a.std() > 0.1
    for (key, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, msg=key)


@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
def test_tiny_equals_mscan_with_its_saved_weights(tmp_path, randomise, training):
    x = torch.randn(2, 3, 96, 96)
    theirs = settle(randomise(stock('tiny')), x).train(training)
    init_cfg = strict(save(theirs, tmp_path))
    ours = SVLAEncoder('tiny', text_channels=None, drop_path_rate=0.0, init_cfg=init_cfg).train(training)
    ours.init_weights()
    assert_same(ours, theirs, x, 1e-5)


@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
@pytest.mark.parametrize('name', DEPTHS)
def test_depths_of_every_variant_equal_mscan(tmp_path, randomise, name, training):
    """All blocks of the variant, narrow, in float64."""
    x = torch.randn(2, 3, 40, 40)
    theirs = settle(randomise(stock(name, NARROW)), x).train(training)
    ours = narrow(name, drop_path_rate=0.0, init_cfg=strict(save(theirs, tmp_path))).train(training)
    ours.init_weights()
    assert_same(ours.double(), theirs.double(), x.double(), 1e-9)


def test_gradients_equal_mscans_in_float64(randomise):
    theirs = randomise(stock('small', NARROW)).double()
    ours = narrow('small', drop_path_rate=0.0).double()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, 3, 33, 47, dtype=torch.float64)
    for module in (ours, theirs):
        sum((y * y).sum() for y in module.train()(x)).backward()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-7, atol=1e-7, msg=name)


def test_odd_size_equals_mscan(randomise):
    x = torch.randn(1, 3, 33, 47)
    theirs, ours = settle(randomise(stock('small', NARROW)), x).eval(), narrow('small').eval()
    ours.load_state_dict(theirs.state_dict())
    assert_same(ours, theirs, x, 1e-5)


# Weights


def test_text_mode_takes_mscan_weights_and_keeps_a_new_language_branch(tmp_path, log_lines):
    theirs = stock('small', NARROW)
    ours = SVLAEncoder(
        dict(widths=NARROW, depths=DEPTHS['small'], mlp_ratios=(8, 8, 4, 4)),
        text_channels=12,
        init_cfg=strict(save(theirs, tmp_path), new=['language']),
    )
    ours.init_weights()
    state = ours.state_dict()
    assert all(torch.equal(state[k], v) for k, v in theirs.state_dict().items())
    new = {k: v for k, v in state.items() if k not in theirs.state_dict()}
    assert all('.language.' in k for k in new)
    assert len(new) == 7 * sum(DEPTHS['small'])
    report = next(line for line in log_lines if 'keys matched' in line)
    assert f'{len(theirs.state_dict())} keys matched' in report
    assert f'{len(new)} of the model keep their own' in report
    for key, value in new.items():  # 0.02 for words, He for pixels, biases 0
        if key.endswith('bias'):
            assert value.eq(0).all()
        else:
            expected = 0.02 if '.l1.' in key or '.l2.' in key else (2 / value.shape[0]) ** 0.5
            assert value.std().item() == pytest.approx(expected, rel=0.35), key


def test_post_norm_takes_the_weights_it_has_room_for(tmp_path, tiny_arch, log_lines):
    plain = SVLAEncoder(tiny_arch, text_channels=None)
    ours = SVLAEncoder(tiny_arch, None, norm_position='post', init_cfg=strict(save(plain, tmp_path)))
    ours.init_weights()
    theirs = plain.state_dict()
    assert all(torch.equal(v, theirs[k]) for k, v in ours.state_dict().items())
    # Two 1x1 convolutions with bias and two layer scales in each of the four blocks have no place.
    assert any('24 of the file not used' in line for line in log_lines)


def test_another_variant_is_refused(tmp_path, tiny_arch):
    path = save(SVLAEncoder(tiny_arch, text_channels=None), tmp_path)
    for change in (dict(depths=(2, 1, 1, 1)), dict(widths=(8, 16, 24, 40))):
        with pytest.raises(WeightsError, match='does not fill SVLAEncoder'):
            SVLAEncoder({**tiny_arch, **change}, text_channels=None, init_cfg=strict(path)).init_weights()


# Shapes


@pytest.mark.parametrize('size', [(64, 64), (33, 47), (4, 4), (1, 1), (5, 1)])
@pytest.mark.parametrize('position', ['pre', 'post'])
@pytest.mark.parametrize('channels', [12, None], ids=['text', 'text-free'])
def test_sizes_and_layout(tiny_arch, make_text, size, position, channels):
    encoder = SVLAEncoder(tiny_arch, text_channels=channels, norm_position=position).train()
    text = None if channels is None else make_text((5, 3))
    if min(size) < 33:
        encoder.eval()  # batch norm over two pixels is no test
    maps = encoder(torch.randn(2, 3, *size), text)
    for y, width, stride in zip(maps, tiny_arch['widths'], (4, 8, 16, 32), strict=True):
        assert y.shape == (2, width, -(-size[0] // stride), -(-size[1] // stride))
        assert y.is_contiguous(memory_format=torch.channels_last)
        assert y.isfinite().all()


def test_a_1x1_map_in_training_with_text(tiny_arch, make_text):
    maps = SVLAEncoder(tiny_arch, text_channels=12).train()(torch.randn(2, 3, 32, 32), make_text())
    assert maps[-1].shape[2:] == (1, 1)
    sum(y.sum() for y in maps).backward()


def test_layout_of_the_image_does_not_matter(encoder, make_text):
    x, text = torch.randn(2, 3, 40, 40), make_text()
    for a, b in zip(encoder(x, text), encoder(x.contiguous(memory_format=torch.channels_last), text), strict=True):
        assert torch.equal(a, b)


def test_in_channels(tiny_arch):
    assert SVLAEncoder(tiny_arch, None, in_channels=1).eval()(torch.randn(1, 1, 32, 32))[0].shape == (1, 8, 8, 8)


# Text


def test_text_changes_every_stage(encoder, make_text):
    x = torch.randn(2, 3, 64, 64)
    for a, b in zip(encoder(x, make_text()), encoder(x, make_text()), strict=True):
        assert (a - b).abs().mean() > 1e-3


def test_a_batch_element_equals_the_sample_alone(encoder, make_text):
    x, text = torch.randn(2, 3, 40, 56), make_text((5, 3))
    for i, length in enumerate((5, 3)):
        alone = TextFeatures.from_tokens(text.tokens[i : i + 1, :length], text.mask[i : i + 1, :length])
        for a, b in zip(encoder(x, text), encoder(x[i : i + 1], alone), strict=True):
            torch.testing.assert_close(a[i : i + 1], b, rtol=1e-4, atol=1e-4)


def test_a_sentence_without_tokens_is_finite(encoder, make_text):
    assert all(y.isfinite().all() for y in encoder(torch.randn(2, 3, 40, 40), make_text((4, 0))))


@pytest.mark.parametrize('position', ['pre', 'post'])
@pytest.mark.parametrize('channels', [12, None], ids=['text', 'text-free'])
def test_every_parameter_gets_a_gradient(tiny_arch, make_text, randomise, position, channels):
    encoder = randomise(SVLAEncoder(tiny_arch, text_channels=channels, norm_position=position, drop_path_rate=0.0))
    text = None if channels is None else make_text(requires_grad=True)
    maps = encoder.train()(torch.randn(2, 3, 64, 64), text)
    sum((y * torch.randn_like(y)).sum() for y in maps).backward()
    without = [n for n, p in encoder.named_parameters() if p.grad is None]
    assert not without
    # A constant that a norm takes off again has a gradient of 0 up to rounding: no such check for biases.
    zero = [n for n, p in encoder.named_parameters() if not n.endswith('bias') and p.grad.abs().max() < 1e-5]
    assert not zero
    if text is not None:
        assert text.tokens.grad.abs().max() > 1e-5


def test_options_reach_every_block(tiny_arch):
    encoder = SVLAEncoder(tiny_arch, 16, kernel_sizes=(3, 5), language_scale='visual', drop_path_rate=0.0)
    for i, width in enumerate(tiny_arch['widths'], 1):
        svla = getattr(encoder, f'block{i}')[0].attn.spatial_gating_unit
        assert svla.conv1_2.kernel_size == (5, 1)
        assert not hasattr(svla, 'conv2_1')
        assert svla.language.scale == pytest.approx(width**-0.5)
    assert encoder.uses_text
    assert not SVLAEncoder(tiny_arch, None).uses_text
    printed = SVLAEncoder(tiny_arch, 16).block1[0].attn.spatial_gating_unit.language
    assert printed.scale == pytest.approx(16**-0.5)


def test_is_registered(tiny_arch):
    assert isinstance(MODELS.build(dict(type='SVLAEncoder', arch=tiny_arch)), SVLAEncoder)


# Errors


def test_text_missing_and_text_unwanted(encoder, tiny_arch, make_text):
    x = torch.randn(2, 3, 32, 32)
    with pytest.raises(ValueError, match='needs text'):
        encoder(x)
    with pytest.raises(ValueError, match='takes no text'):
        SVLAEncoder(tiny_arch, text_channels=None)(x, make_text())


BAD = [
    (dict(arch='huge'), 'tiny, small, base, large'),
    (dict(arch=dict(widths=(8, 8, 8, 8))), "absent: .'depths', 'mlp_ratios'"),
    (dict(arch=dict(widths=(1,) * 4, depths=(1,) * 4, mlp_ratios=(1,) * 4, heads=3)), "unknown: .'heads'"),
    (dict(norm_position='middle'), "'pre' or 'post'"),
    (dict(language_scale='words'), "'text' or 'visual'"),
    (dict(kernel_sizes=(4,)), 'odd'),
    (dict(fusion='add'), "'svla' or 'gate'"),
    (dict(out_indices=()), 'at least one'),
    (dict(out_indices=(1, 0)), 'ascending'),
    (dict(out_indices=(0, 0)), 'ascending'),
    (dict(out_indices=(2, 4)), '0 to 3'),
    (dict(out_indices=(-1,)), '0 to 3'),
]


@pytest.mark.parametrize(('change', 'message'), BAD, ids=[str(b[0])[5:30] for b in BAD])
def test_bad_options(tiny_arch, change, message):
    with pytest.raises(ValueError, match=message):
        SVLAEncoder(**{'arch': tiny_arch, 'text_channels': 8, **change})


@pytest.mark.parametrize('key', ['widths', 'depths', 'mlp_ratios'])
@pytest.mark.parametrize('count', [3, 5])
def test_four_stages_are_needed(tiny_arch, key, count):
    with pytest.raises(ValueError):
        SVLAEncoder({**tiny_arch, key: (tiny_arch[key] * 2)[:count]}, text_channels=None)


@pytest.mark.parametrize('kind', ['StrictPretrained', 'Pretrained'])
def test_both_names_of_the_initialisation_are_strict(kind, tiny_arch, tmp_path):
    """In text mode the language branch alone may be absent."""
    free = SVLAEncoder(tiny_arch, text_channels=None)
    path = str(tmp_path / 'mscan.pth')
    torch.save(free.state_dict(), path)
    encoder = SVLAEncoder(tiny_arch, text_channels=6, init_cfg=dict(type=kind, checkpoint=path))
    encoder.init_weights()
    assert all(torch.equal(encoder.state_dict()[key], value) for key, value in free.state_dict().items())
    torch.save({k: v for k, v in free.state_dict().items() if k != 'block2.0.attn.proj_1.weight'}, path)
    with pytest.raises(WeightsError, match=r'block2\.0\.attn\.proj_1\.weight'):
        SVLAEncoder(tiny_arch, text_channels=6, init_cfg=dict(type=kind, checkpoint=path)).init_weights()
    torch.save({'other.weight': torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match='no key'):
        SVLAEncoder(tiny_arch, text_channels=6, init_cfg=dict(type=kind, checkpoint=path)).init_weights()
