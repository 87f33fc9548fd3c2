"""SVLAEncoder with fewer stages, other strips and other fusions than the paper's: what is built, and what fits in."""

import pytest
import torch
from mmseg.models.backbones.mscan import MSCAN

from mmseg_textseg.models import SVLAEncoder, TextFeatures, WeightsError

C_TEXT = 12
SOME = [(0,), (3,), (0, 1), (1, 2), (0, 1, 2), (1, 2, 3)]
FUSIONS = [dict(), dict(pixel_map=False), dict(fusion='gate'), dict(fusion='gate', pixel_map=True)]


def make(arch, text_channels=C_TEXT, **kwargs):
    return SVLAEncoder(arch, text_channels, drop_path_rate=0.0, **kwargs)


def languages(encoder):
    return [m for n, m in encoder.named_modules() if n.endswith('.language')]


# Stages


@pytest.mark.parametrize('stages', SOME, ids=str)
@pytest.mark.parametrize('training', [True, False], ids=['train', 'eval'])
def test_maps_are_those_of_the_whole_encoder(tiny_arch, randomise, make_text, stages, training):
    whole = randomise(make(tiny_arch)).double()
    some = make(tiny_arch, out_indices=stages).double()
    left = some.load_state_dict(whole.state_dict(), strict=False)
    assert not left.missing_keys
    x, text = torch.randn(2, 3, 64, 40, dtype=torch.float64), make_text(dtype=torch.float64)
    expected = whole.train(training)(x, text)
    maps = some.train(training)(x, text)
    assert some.out_channels == tuple(tiny_arch['widths'][i] for i in stages)
    assert len(maps) == len(stages)
    for y, i in zip(maps, stages, strict=True):
        assert torch.equal(y, expected[i])


@pytest.mark.parametrize('stages', SOME, ids=str)
@pytest.mark.parametrize('fusion', FUSIONS, ids=str)
def test_every_parameter_gets_a_gradient(tiny_arch, randomise, make_text, stages, fusion):
    encoder, text = randomise(make(tiny_arch, out_indices=stages, **fusion)), make_text(requires_grad=True)
    maps = encoder.train()(torch.randn(2, 3, 64, 64), text)
    sum((y * torch.randn_like(y)).sum() for y in maps).backward()
    assert not [n for n, p in encoder.named_parameters() if p.grad is None]
    # A constant that a norm takes off again has a gradient of 0 up to rounding: no such check for biases.
    assert not [n for n, p in encoder.named_parameters() if not n.endswith('bias') and p.grad.abs().max() < 1e-5]
    assert text.tokens.grad.abs().max() > 1e-5


def test_what_is_built(tiny_arch):
    names = {n for n, _ in make(tiny_arch, out_indices=(1,)).named_children()}
    assert names == {f'{part}{i}' for part in ('patch_embed', 'block', 'norm') for i in (1, 2)}
    whole, default = make(tiny_arch, out_indices=[0, 1, 2, 3]), SVLAEncoder(tiny_arch, C_TEXT)
    assert list(whole.state_dict()) == list(default.state_dict())
    assert default.out_channels == tuple(tiny_arch['widths'])


def test_drop_path_rates_are_those_of_the_whole_encoder(tiny_arch):
    arch = {**tiny_arch, 'depths': (2, 1, 1, 2)}

    def rates(**kwargs):
        encoder = SVLAEncoder(arch, None, drop_path_rate=0.5, **kwargs)
        return [m.drop_prob for m in encoder.modules() if type(m).__name__ == 'DropPath']

    assert rates() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])  # the first block has none
    assert rates(out_indices=(0, 1)) == pytest.approx([0.1, 0.2])


@pytest.mark.parametrize('fusion', FUSIONS, ids=str)
def test_a_batch_element_equals_the_sample_alone(tiny_arch, randomise, make_text, fusion):
    """Neither the other image, nor its longer sentence, nor the padding that it brings."""
    encoder = randomise(make(tiny_arch, out_indices=(0, 2), **fusion)).double().eval()
    x, text = torch.randn(2, 3, 40, 56, dtype=torch.float64), make_text((5, 3), dtype=torch.float64)
    tokens = torch.where(text.mask[..., None], text.tokens, torch.full_like(text.tokens, 1e3))
    text = TextFeatures.from_tokens(tokens, text.mask)
    for i, length in enumerate((5, 3)):
        alone = TextFeatures.from_tokens(text.tokens[i : i + 1, :length], text.mask[i : i + 1, :length])
        for a, b in zip(encoder(x, text), encoder(x[i : i + 1], alone), strict=True):
            torch.testing.assert_close(a[i : i + 1], b, rtol=1e-9, atol=1e-9)


def test_fusions_are_in_every_block(tiny_arch):
    arch = {**tiny_arch, 'depths': (2, 1, 1, 1)}
    for fusion, has_map, has_gate in zip(FUSIONS, (True, False, False, True), (False, False, True, True), strict=True):
        found = languages(SVLAEncoder(arch, C_TEXT, **fusion))
        assert len(found) == 5
        assert all((m.v2 is not None, m.gate is not None) == (has_map, has_gate) for m in found)


# Weights


@pytest.fixture
def mscan(tiny_arch, randomise, tmp_path):
    """A stock MSCAN, its file, and the initialisation from it."""
    stock = MSCAN(
        embed_dims=list(tiny_arch['widths']),
        depths=list(tiny_arch['depths']),
        mlp_ratios=list(tiny_arch['mlp_ratios']),
        norm_cfg=dict(type='BN'),
    )
    path = str(tmp_path / 'mscan.pth')
    torch.save(dict(state_dict=randomise(stock).state_dict()), path)
    return stock, dict(type='StrictPretrained', checkpoint=path)


def test_a_whole_mscan_fills_a_few_stages_and_the_log_says_what_was_left(tiny_arch, mscan, log_lines):
    stock, init_cfg = mscan
    encoder = make(tiny_arch, None, out_indices=(0, 1), init_cfg=init_cfg)
    encoder.init_weights()
    theirs = stock.state_dict()
    assert all(torch.equal(v, theirs[k]) for k, v in encoder.state_dict().items())
    left = [k for k in theirs if k not in encoder.state_dict()]
    assert {k.split('.')[0][-1] for k in left} == {'3', '4'}
    (report,) = (line for line in log_lines if 'keys matched' in line)
    assert f'{len(encoder.state_dict())} keys matched; 0 of the model' in report
    assert f'{len(left)} of the file not used (patch_embed3.proj.weight' in report
    x = torch.randn(1, 3, 64, 64)
    for a, b in zip(encoder.eval()(x), stock.eval()(x)[:2], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * b.abs().max().item())


def test_few_stages_do_not_fill_a_whole_encoder(tiny_arch, tmp_path):
    path = str(tmp_path / 'few.pth')
    torch.save(make(tiny_arch, None, out_indices=(0, 1)).state_dict(), path)
    encoder = make(tiny_arch, None, init_cfg=dict(type='StrictPretrained', checkpoint=path))
    with pytest.raises(WeightsError, match=r'patch_embed3\.proj\.weight'):
        encoder.init_weights()


# Kernels in the encoder; where each of its ConvUnits comes from in an MSCAN (None: drawn).
STRIPS = [
    ((7, 11), (0, 1)),
    ((7, 21), (0, 2)),
    ((11, 21), (1, 2)),
    ((21, 7), (2, 0)),
    ((11,), (1,)),
    ((5, 21), (None, 2)),
]


@pytest.mark.parametrize(('kernels', 'sources'), STRIPS, ids=[str(s[0]) for s in STRIPS])
def test_strips_are_told_by_their_length(tiny_arch, mscan, log_lines, kernels, sources):
    stock, init_cfg = mscan
    encoder = make(tiny_arch, None, kernel_sizes=kernels, init_cfg=init_cfg)
    encoder.init_weights()
    for i in range(1, 5):
        ours, theirs = (getattr(m, f'block{i}')[0].attn.spatial_gating_unit for m in (encoder, stock))
        for unit, source in enumerate(sources):
            for side in (1, 2):
                mine = getattr(ours, f'conv{unit}_{side}')
                assert mine.weight.shape[2:] == ((1, kernels[unit]) if side == 1 else (kernels[unit], 1))
                if source is None:
                    assert mine.bias.eq(0).all()
                    continue
                other = getattr(theirs, f'conv{source}_{side}')
                assert torch.equal(mine.weight, other.weight)
                assert torch.equal(mine.bias, other.bias)
        assert torch.equal(ours.conv0.weight, theirs.conv0.weight)
        assert torch.equal(ours.conv3.weight, theirs.conv3.weight)
    (report,) = (line for line in log_lines if 'keys matched' in line)
    gone = {7, 11, 21} - set(kernels)
    assert f'{16 * len(gone)} of the file not used' in report  # weight and bias of two strips in four blocks
    assert any(f'conv{(7, 11, 21).index(k)}_1.weight of length {k}' in report for k in gone)


def test_a_lacking_strip_of_segnext_is_an_error(tiny_arch, mscan):
    stock, init_cfg = mscan
    state = {k: v for k, v in stock.state_dict().items() if 'block2.0.attn.spatial_gating_unit.conv1_2' not in k}
    torch.save(state, init_cfg['checkpoint'])
    make(tiny_arch, None, kernel_sizes=(7, 21), init_cfg=init_cfg).init_weights()
    with pytest.raises(WeightsError, match=r'block2\.0\.attn\.spatial_gating_unit\.conv0_2\.weight'):
        make(tiny_arch, None, kernel_sizes=(11, 21), init_cfg=init_cfg).init_weights()


@pytest.mark.parametrize('options', [dict(kernel_sizes=(5,)), dict(fusion='gate'), dict(pixel_map=False)], ids=str)
def test_own_weights_come_back(tiny_arch, randomise, tmp_path, options):
    source, path = randomise(make(tiny_arch, **options)), str(tmp_path / 'own.pth')
    torch.save(source.state_dict(), path)
    encoder = make(tiny_arch, **options, init_cfg=dict(type='StrictPretrained', checkpoint=path))
    encoder.init_weights()
    assert all(torch.equal(v, source.state_dict()[k]) for k, v in encoder.state_dict().items())
