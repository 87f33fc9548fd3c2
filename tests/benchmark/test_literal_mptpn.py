"""The literal MPTPN is ours: value and every gradient in float64, in both modes."""

import pytest
import torch
from torch import nn

from mmseg_textseg.benchmark import mptpn
from mmseg_textseg.benchmark.literal_mptpn import LiteralMPTPN, literal_state
from mmseg_textseg.models import PPE, MSFFUpAttentionHead

C, SIDE, T, C_TEXT = 4, 32, 5, 6
SETTINGS = dict(
    base_channels=C, img_size=SIDE, text_channels=C_TEXT, num_text_tokens=T, patch_size=8, num_heads=2, dropout=0.0
)


class Ours(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.backbone = PPE(**{**SETTINGS, **options})
        self.decode_head = MSFFUpAttentionHead((C, 2 * C, 4 * C))

    def forward(self, image, text):
        return self.decode_head(self.backbone(image, text))


@pytest.fixture
def both(randomise):
    ours, literal = randomise(Ours()).double(), LiteralMPTPN(**SETTINGS).double()
    literal.load_state_dict(literal_state(ours.state_dict()))
    return ours, literal


@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
def test_value_and_every_gradient(both, make_text, training):
    ours, literal = (model.train(training) for model in both)
    text = make_text((T, T), C_TEXT, dtype=torch.float64, requires_grad=True)
    image = torch.randn(2, 3, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
    results = []
    outputs = ours(image, text), literal(image, text.tokens)
    seed = torch.randn_like(outputs[0])
    assert outputs[0].std() > 0.1
    for model, y in zip((ours, literal), outputs, strict=True):
        leaves = dict(image=image, tokens=text.tokens, **dict(model.named_parameters()))
        gradients = torch.autograd.grad(y, list(leaves.values()), seed)
        results.append(literal_state(dict(zip(leaves, gradients, strict=True))))
    torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-9)
    assert results[0].keys() == results[1].keys()
    for name, gradient in results[0].items():
        torch.testing.assert_close(gradient, results[1][name], rtol=1e-8, atol=1e-8, msg=lambda m, n=name: f'{n}: {m}')
        if not training:  # a batch norm takes some biases out again
            assert gradient.abs().max() > 1e-9, name


def test_names(both):
    """Nothing is left over on either side."""
    ours, literal = both
    assert literal_state(ours.state_dict()).keys() == literal.state_dict().keys()


@pytest.mark.parametrize('kind', ['forward', 'step'])
def test_timed_groups(monkeypatch, kind):
    """All run; before any step both contenders have the same weights, so their outputs are equal."""
    monkeypatch.setattr(mptpn, 'WIDTHS', (8, 16))
    monkeypatch.setattr(mptpn, 'LARGE', 16)
    monkeypatch.setattr(mptpn, 'TOKENS', 5)
    names = []
    for group in mptpn.groups(sizes=(32,), batches=(1, 2)):
        if f'/{kind}/' not in group.name:
            continue
        names.append(group.name)
        assert list(group.contenders) == [mptpn.LITERAL, mptpn.OURS]
        literal, ours = (call() for call in group.contenders.values())
        if kind == 'forward':
            torch.testing.assert_close(ours, literal, rtol=1e-3, atol=1e-3)
            assert len(ours) == group.axis['batch']
            assert not ours.requires_grad
    whole = ['c8/32/1', 'c8/32/2', 'c16/32/1']
    parts = ['48/16/1', '24/32/1', '48/16/2', '24/32/2', '96/16/1', '48/32/1']
    assert names == [f'mptpn/{kind}/{name}' for name in (*whole, *(f'up-attention{part}' for part in parts))]


def test_a_step_reaches_every_weight_and_leaves_no_gradient():
    seen = []
    model = torch.nn.Linear(2, 1)
    model.weight.register_hook(lambda grad: seen.append(grad.abs().sum() > 0))
    x = torch.randn(3, 2, requires_grad=True)
    x.register_hook(lambda grad: seen.append(grad.abs().sum() > 0))
    mptpn.step(model.eval(), x)
    assert seen == [True, True]
    assert model.training
    assert x.grad is model.weight.grad is None
