"""Weights of a stock Swin, strictly."""

import pytest
import torch
from mmseg.models.backbones import SwinTransformer

from mmseg_textseg.models import LAVTSwin, WeightsError

TEXT = 12
NEW = ('fusions.', 'gates.')


@pytest.fixture
def stock(swin, randomise):
    return randomise(SwinTransformer(**swin)).state_dict()


@pytest.fixture
def saved(tmp_path):
    def save(state):
        path = str(tmp_path / 'swin.pth')
        torch.save(state, path)
        return path

    return save


def loaded(swin, path, kind='StrictPretrained', **kwargs):
    encoder = LAVTSwin(TEXT, **swin, init_cfg=dict(type=kind, checkpoint=path, **kwargs))
    encoder.init_weights()
    return encoder.state_dict()


@pytest.mark.parametrize('kind', ['StrictPretrained', 'Pretrained'])
@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_a_stock_swin_arrives_whole(swin, stock, saved, log_lines, kind, prefix):
    """As a backbone's state, and as a segmentor's with its head."""
    state = {prefix + k: v for k, v in stock.items()} | ({'decode_head.w': torch.ones(1)} if prefix else {})
    found = loaded(swin, saved(dict(state_dict=state)), kind)
    assert all(torch.equal(found[k], v) for k, v in stock.items())
    new = [k for k in found if k not in stock]
    assert all(k.startswith(NEW) for k in new)
    (report,) = (line for line in log_lines if 'keys matched' in line)
    assert f'{len(stock)} keys matched; {len(new)} of the model keep their own' in report


def test_a_classifiers_swin_lacks_the_norms_of_the_outputs_alone(swin, stock, saved):
    state = {k: v for k, v in stock.items() if not k.startswith('norm')} | {'norm.weight': torch.ones(64)}
    found = loaded(swin, saved(state))
    assert all(torch.equal(found[k], v) for k, v in state.items() if k != 'norm.weight')
    assert all(found[f'norm{i}.weight'].eq(1).all() and found[f'norm{i}.bias'].eq(0).all() for i in range(4))


def test_another_window_resizes_the_position_biases_as_the_stock_class(swin, stock, saved, log_lines):
    wide = {**swin, 'window_size': 5}
    # The stock class fails at the index of pairs, so that its checkpoint here has none.
    path = saved({k: v for k, v in stock.items() if not k.endswith('relative_position_index')})
    expected = SwinTransformer(**wide, init_cfg=dict(type='Pretrained', checkpoint=path))
    expected.init_weights()
    found = loaded(wide, saved(stock))
    for key, value in expected.state_dict().items():
        torch.testing.assert_close(found[key], value, msg=key)
    resized = [line for line in log_lines if 'resized from windows of 3 to 5' in line]
    assert len(resized) == sum(swin['depths'])


@pytest.mark.parametrize('key', ['stages.1.blocks.0.ffn.layers.1.weight', 'patch_embed.projection.bias'])
def test_a_missing_key_is_an_error_that_names_it(swin, stock, saved, key):
    with pytest.raises(WeightsError, match=key.replace('.', r'\.')):
        loaded(swin, saved({k: v for k, v in stock.items() if k != key}))


def test_another_model_is_refused(swin, stock, saved):
    for change in (dict(embed_dims=16), dict(depths=(1, 2, 2, 1))):
        with pytest.raises(WeightsError, match=r'does not fill LAVTSwin.*embed_dims, depths'):
            loaded({**swin, **change}, saved(stock))
    with pytest.raises(WeightsError, match='no key'):
        loaded(swin, saved({'layers.0.blocks.0.norm1.weight': torch.ones(8)}))


def test_a_state_dict_makes_the_round_trip(encoder, swin, make_text):
    other = LAVTSwin(TEXT, **swin).eval()
    other.load_state_dict(encoder.state_dict(), strict=True)
    x, text = torch.randn(2, 3, 40, 40), make_text()
    assert all(torch.equal(a, b) for a, b in zip(encoder(x, text), other(x, text), strict=True))


def test_fresh_weights_are_swins_and_the_attention_keeps_pytorchs(swin):
    encoder = LAVTSwin(TEXT, **{**swin, 'embed_dims': 32})
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    encoder.init_weights()
    for key, value in encoder.state_dict().items():
        if key.startswith('fusions.'):
            assert torch.equal(value, before[key]), key
        elif value.dim() == 2 and value.is_floating_point() and 'norm' not in key:
            assert value.std().item() == pytest.approx(0.02, rel=0.3), key
        elif value.dim() == 1 and not key.startswith('patch_embed.projection'):
            assert value.eq(1 if key.endswith('weight') else 0).all(), key
