"""The stock-style LSMS says what ours says, with the same weights: logits, losses, gradients."""

import pytest
import torch
from mmengine.registry import DefaultScope

from mmseg_textseg.benchmark import models
from mmseg_textseg.benchmark.parts import OneStepNMF2D
from mmseg_textseg.benchmark.stock_style import StockSegmentor

MICRO = models.VARIANTS['micro']


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.fixture
def pair(randomise):
    """Ours and the stock-style one, float64, the same weights, nothing drawn in training."""

    def make(text=True):
        ours, stock = models.build_lsms(MICRO, text), models.build_stock(MICRO, text)
        stock.load_ours(randomise(ours).state_dict())
        for model in (ours, stock):
            model.decode_head.dropout = None
            for module in model.modules():
                if hasattr(module, 'drop_prob'):
                    module.drop_prob = 0.0
        return ours.double(), stock.double()

    return make


def close(a, b, tolerance=1e-9):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * b.abs().max().item())


@pytest.mark.parametrize('lengths', [(5, 5), (5, 2)], ids=['full', 'padded'])
def test_logits(pair, make_text, lengths):
    ours, stock = pair()
    text, x = make_text(lengths, 16, dtype=torch.float64), models.images(64, 2).double()
    a, b = models.logits(ours.eval(), x, text), stock.eval()(x, text)
    assert a.shape == (2, 2, 16, 16)
    close(b, a)
    other = make_text(lengths, 16, dtype=torch.float64)
    assert (stock(x, other) - b).abs().max() > 1e-3 * b.abs().max()


def test_losses_and_running_statistics(pair, make_text):
    ours, stock = pair()
    text, x, truth = make_text((4, 6), 16, dtype=torch.float64), models.images(64, 2).double(), models.samples(64, 2)
    a = models.LSMSLosses(ours).train().loss(x, truth, text)
    b = stock.train().loss(x, truth, text)
    assert a.keys() == b.keys() == {'loss_seg', 'loss_con', 'acc_seg'}
    for key in a:
        close(b[key], a[key])
    statistics = {name: value for name, value in ours.named_buffers() if name.endswith(('_mean', '_var'))}
    assert statistics
    for name, value in statistics.items():
        close(stock.get_buffer(name), value)


def test_gradients_but_for_the_factorisations_own_iterations(pair, make_text):
    ours, stock = pair()
    text, x, truth = make_text((4, 6), 16, dtype=torch.float64), models.images(64, 2).double(), models.samples(64, 2)
    gradients = []
    for one_step in (False, True):
        if one_step:
            stock.decode_head.hamburger.ham.__class__ = OneStepNMF2D
        for model in (models.LSMSLosses(ours), stock):
            losses = model.train().loss(x, truth, text)
            model.zero_grad()
            (losses['loss_seg'] + losses['loss_con']).backward()
            gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})
    _, through_all, a, b = gradients
    assert set(b) - set(a) <= {name for name in b if '.language.' in name and name.endswith('.0.bias')}
    for name, gradient in a.items():
        torch.testing.assert_close(b[name], gradient, rtol=1e-6, atol=1e-9, msg=name)
    name = 'decode_head.hamburger.ham_in.conv.weight'
    assert (through_all[name] - a[name]).abs().max() > 1e-3 * a[name].abs().max()


def test_without_text_it_is_segnext_at_the_size_of_stage_1(pair):
    ours, stock = pair(text=False)
    assert type(stock.backbone).__module__.startswith('mmseg.')
    x = models.images(64, 1).double()
    b = stock.eval()(x)
    close(b, ours.eval().decode_head(ours.extract_feat(x)))
    assert not any(value.is_contiguous(memory_format=torch.channels_last) for value in stock.backbone(x))


def test_segnext_takes_the_weights_of_an_lsms_that_words_do_not_pass_through(randomise):
    ours, stock = randomise(models.build_lsms(MICRO)), models.build_stock(MICRO, text=False)
    stock.load_ours(ours.state_dict())
    assert torch.equal(stock.backbone.norm3.weight, ours.backbone.norm3.weight)
    assert torch.equal(stock.decode_head.hamburger.ham.bases[0], ours.decode_head.hamburger.ham.bases)


def test_other_widths_are_refused():
    stock: StockSegmentor = models.build_stock(models.VARIANTS['tiny'], text=False)
    with pytest.raises(RuntimeError, match='size mismatch'):
        stock.load_ours(models.build_lsms(MICRO).state_dict())
