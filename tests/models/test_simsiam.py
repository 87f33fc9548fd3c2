"""Stage 1: SimSiam's loss against explicit cosines, the stop-gradient, and PPESimSiam."""

import math

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_textseg.models import PPE, PPESimSiam, simsiam_loss
from mmseg_textseg.models.pretraining.ppe_simsiam import Predictor, spread
from mmseg_textseg.tokenization import build_vocab, load_tokenizer

SENTENCES = ('the bright square', 'the dark square left of it', 'it')
TOKENIZER = dict(vocab=build_vocab(SENTENCES))
C, SIZE = 8, 32
KEYS = ('p1', 'y2', 'p2', 'y1')


def four(batch=5, channels=6):
    return [torch.randn(batch, channels, dtype=torch.float64, requires_grad=True) for _ in KEYS]


def cosine(a, b):
    """Of two lists of numbers."""
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / (math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b)))


# Algorithm 1, line 6


@pytest.mark.parametrize(
    ('p1', 'y2', 'p2', 'y1', 'value'),
    [
        ([[1, 0]], [[2, 0]], [[0, 3]], [[0, 1]], -2.0),
        ([[1, 0]], [[-2, 0]], [[0, 3]], [[0, -1]], 2.0),
        ([[1, 0]], [[0, 1]], [[3, 4]], [[1, 0]], -0.6),
        ([[1, 0], [0, 2]], [[1, 0], [0, -1]], [[1, 1], [1, 1]], [[1, 0], [0, 1]], -math.sqrt(0.5)),
    ],
)
def test_by_hand(p1, y2, p2, y1, value):
    inputs = [torch.tensor(v).double() for v in (p1, y2, p2, y1)]
    assert simsiam_loss(*inputs).item() == pytest.approx(value)


def test_against_explicit_cosines():
    p1, y2, p2, y1 = inputs = four()
    rows = [[v.tolist() for v in x] for x in (p1, y2, p2, y1)]
    terms = [-cosine(a, b) - cosine(c, d) for a, b, c, d in zip(*rows, strict=True)]
    assert simsiam_loss(*inputs).item() == pytest.approx(sum(terms) / len(terms), rel=1e-12)


def test_views_may_be_exchanged():
    p1, y2, p2, y1 = four()
    torch.testing.assert_close(simsiam_loss(p1, y2, p2, y1), simsiam_loss(p2, y1, p1, y2))


def test_no_gradient_flows_into_the_encodings():
    p1, y2, p2, y1 = inputs = four()
    ours = torch.autograd.grad(simsiam_loss(*inputs), inputs, allow_unused=True)
    assert ours[1] is None
    assert ours[3] is None
    constants = [torch.tensor(y.tolist(), dtype=torch.float64) for y in (y2, y1)]
    printed = sum(
        -(p * y).sum(1) / (p.square().sum(1).sqrt() * y.square().sum(1).sqrt())
        for p, y in zip((p1, p2), constants, strict=True)
    ).mean()
    for a, b in zip((ours[0], ours[2]), torch.autograd.grad(printed, (p1, p2)), strict=True):
        torch.testing.assert_close(a, b)
    assert ours[0].abs().max() > 1e-3


# The model


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture
def build(tiny_bert, randomise):
    """Function (text, frozen, **options) -> PPESimSiam in float64, weights drawn anew, in training mode."""

    def make(text=True, frozen=False, **options):
        backbone = dict(type='PPE', base_channels=C, img_size=SIZE, num_heads=2, num_text_tokens=9, dropout=0.0)
        encoder = dict(type='BertTextEncoder', pretrained=None, tokenizer=TOKENIZER, arch=tiny_bert)
        config = dict(
            type='PPESimSiam',
            backbone={**backbone, 'text_channels': 16 if text else None},
            text_encoder=encoder if text else None,
        )
        model = randomise(MODELS.build(ConfigDict({**config, **options})))
        if frozen:
            model.text_encoder.requires_grad_(False)
        return model.double().train()

    return make


def views(batch=3):
    return [torch.randn(batch, 3, SIZE, SIZE, dtype=torch.float64) for _ in range(2)]


def captions(sentences=SENTENCES):
    tokenizer, samples = load_tokenizer(TOKENIZER), []
    for sentence in sentences:
        ids = torch.from_numpy(tokenizer.encode(sentence, 9)[0])
        sample = SegDataSample()
        sample.set_data(dict(text_ids=ids, text_mask=torch.ones_like(ids, dtype=torch.bool)))
        samples.append(sample)
    return samples


def predict(y, module):
    """Linear without bias, batch norm of the batch, ReLU, linear."""
    first, norm, _, second = module
    assert first.bias is None
    h = y @ first.weight.T
    h = (h - h.mean(0)) / torch.sqrt(h.var(0, unbiased=False) + 1e-5) * norm.weight + norm.bias
    return torch.relu(h) @ second.weight.T + second.bias


def loss_by_hand(model, y1, y2):
    terms = []
    for a, b, g in zip(y1, y2, model.predictors, strict=True):
        unit = [v / v.norm(dim=1, keepdim=True) for v in (predict(a, g), b.detach(), predict(b, g), a.detach())]
        terms.append(-(unit[0] * unit[1]).sum(1).mean() - (unit[2] * unit[3]).sum(1).mean())
    return sum(terms) / len(terms)


@pytest.mark.parametrize('text', [True, False], ids=['text', 'text-free'])
def test_loss_is_the_mean_over_scales(build, text):
    model, (a, b), samples = build(text), views(), captions()
    losses = model([a, b], samples, mode='loss')
    assert losses.keys() == {'loss_simsiam', 'spread_1', 'spread_2', 'spread_3'}
    kwargs = dict(text=model.text_encoder(*padded(samples))) if text else {}
    y1, y2 = ([m.flatten(2).sum(2) / (m.shape[2] * m.shape[3]) for m in model.backbone(x, **kwargs)] for x in (a, b))
    expected = loss_by_hand(model, y1, y2)
    torch.testing.assert_close(losses['loss_simsiam'], expected)
    leaves = list(model.parameters())
    for p, q in zip(*(torch.autograd.grad(v, leaves) for v in (losses['loss_simsiam'], expected)), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-7, atol=1e-9)
    for i, y in enumerate(y1, 1):
        torch.testing.assert_close(losses[f'spread_{i}'].double(), spread(y).double())
    total, _ = model.parse_losses(losses)
    assert total == losses['loss_simsiam']  # the spreads are logged, not trained


def padded(samples):
    pad = torch.nn.utils.rnn.pad_sequence
    return pad([s.text_ids for s in samples], True), pad([s.text_mask for s in samples], True)


def test_tensor_mode_gives_the_encodings(build):
    model = build(text=False)
    y1, y2 = model(views())
    for encodings in (y1, y2):
        assert [tuple(y.shape) for y in encodings] == [(3, C), (3, 2 * C), (3, 4 * C)]


def test_captions_matter(build):
    model, (a, b) = build().eval(), views()
    one, other = (model([a, b], captions(s)) for s in (SENTENCES, SENTENCES[::-1]))
    assert (one[0][0] - other[0][0]).abs().max() > 1e-3
    with pytest.raises(ValueError, match='sentence for every image'):
        model([a, b])


@pytest.mark.parametrize('text', ['trained', 'frozen', None])
def test_every_parameter_gets_a_gradient(build, text):
    model = build(text is not None, text == 'frozen')
    model(views(), captions(), mode='loss')['loss_simsiam'].backward()
    for name, p in model.named_parameters():
        if text == 'frozen' and name.startswith('text_encoder'):
            assert p.grad is None, name
            continue
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
        if not name.endswith('bias'):  # a constant that a norm takes off again has a gradient of 0 up to rounding
            assert p.grad.abs().max() > 1e-8, name


def test_the_stop_gradient_stops_in_the_model(build):
    """With constant predictors nothing is left to learn from: neither view's encoder is drawn to the other's."""
    model, inputs = build(text=False), views()
    for g in model.predictors:
        torch.nn.init.zeros_(g[3].weight)
    model(inputs, mode='loss')['loss_simsiam'].backward()
    assert all(p.grad.abs().max() == 0 for p in model.backbone.parameters())
    assert all(g[3].bias.grad.abs().max() > 0 for g in model.predictors)


def test_equal_views_leave_the_predictor_against_the_encoding(build):
    model, (a, _) = build(text=False), views()
    loss = model([a, a], mode='loss')['loss_simsiam']
    y, _ = model([a, a])
    terms = [
        -2 * torch.cosine_similarity(predict(v, g), v, dim=1).mean() for v, g in zip(y, model.predictors, strict=True)
    ]
    torch.testing.assert_close(loss, sum(terms) / 3)
    assert loss > -2


def test_predictor_widths(build):
    assert [g[0].out_features for g in build(text=False).predictors] == [2, 4, 8]
    assert [g[0].out_features for g in build(text=False, predictor_ratio=0.01).predictors] == [1, 1, 1]
    assert Predictor(6, 2)(torch.randn(3, 6)).shape == (3, 6)


# Spread


def test_spread():
    torch.manual_seed(0)
    assert spread(torch.randn(4000, 256)).item() == pytest.approx(1, abs=0.01)
    assert spread(torch.randn(1, 64).expand(10, 64)).item() == pytest.approx(0, abs=1e-6)
    assert spread(torch.randn(10, 1).abs() * torch.randn(1, 64)).item() == pytest.approx(0, abs=1e-6)  # length only
    # Unit vectors (1, 0) and (0, 1): the deviation of 1 and 0 is 1 / sqrt 2 in both channels, times sqrt 2.
    assert spread(torch.tensor([[3.0, 0.0], [0.0, 0.1]])).item() == pytest.approx(1)
    assert not spread(torch.randn(3, 4, requires_grad=True)).requires_grad


# Refusals


def test_a_batch_of_one_is_refused(build):
    with pytest.raises(ValueError, match=r'at least two images.*batch_size.*drop_last=True'):
        build(text=False).eval()(views(1), mode='loss')


def test_other_modes_are_refused(build):
    with pytest.raises(ValueError, match=r"no mode 'predict'.*stage 2's model\.backbone\.init_cfg"):
        build(text=False)(views(), mode='predict')


def test_encoder_and_backbone_must_agree(tiny_bert):
    backbone = dict(type='PPE', base_channels=C, img_size=SIZE, text_channels=16)
    encoder = dict(type='BertTextEncoder', pretrained=None, tokenizer=TOKENIZER, arch=tiny_bert)
    with pytest.raises(ValueError, match='disagree'):
        PPESimSiam(backbone)
    with pytest.raises(ValueError, match='disagree'):
        PPESimSiam({**backbone, 'text_channels': None}, encoder)
    with pytest.raises(ValueError, match='set text_channels=16'):
        PPESimSiam({**backbone, 'text_channels': 20}, encoder)


def test_stage_two_takes_the_checkpoint(build, tmp_path):
    model, path = build(text=False).float(), str(tmp_path / 'stage1.pth')
    torch.save(dict(state_dict=model.state_dict()), path)
    ppe = PPE(
        base_channels=C,
        img_size=SIZE,
        num_heads=2,
        text_channels=None,
        frozen=True,
        init_cfg=dict(type='StrictPretrained', checkpoint=path, prefix='backbone.'),
    )
    ppe.init_weights()
    for key, value in ppe.state_dict().items():
        assert torch.equal(value, model.backbone.state_dict()[key]), key
