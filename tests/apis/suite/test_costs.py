"""Parameters, multiplications and times: hand-worked values."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import DefaultScope
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from mmseg_textseg.apis import load_config
from mmseg_textseg.apis.suite import costs, measure


def macs(call) -> float:
    with torch.no_grad():
        return costs.count_macs(call, nn.Identity())['gmacs'] * 1e9


@pytest.mark.parametrize(
    ('layer', 'size', 'wanted'),
    [
        (nn.Conv2d(3, 8, 3, padding=1), (1, 3, 4, 4), 16 * 8 * 3 * 9),
        (nn.Conv2d(6, 6, (1, 5), padding=(0, 2), groups=6), (2, 6, 4, 4), 2 * 16 * 6 * 5),
        (nn.ConvTranspose2d(4, 2, 2, stride=2), (1, 4, 3, 3), 9 * 4 * 2 * 4),
        (nn.Linear(5, 7), (2, 3, 5), 6 * 5 * 7),
        (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.Softmax(1), nn.Upsample(scale_factor=2)), (2, 3, 4, 4), 0),
    ],
)
def test_macs_of_layers(layer, size, wanted):
    assert macs(lambda: layer(torch.randn(size))) == pytest.approx(wanted)


def test_macs_of_fused_attention():
    q, k = torch.randn(1, 2, 5, 4), torch.randn(1, 2, 7, 4)
    # 2 heads, 5 queries, 7 keys, 4 wide: as much for the weights as for their use.
    assert macs(lambda: scaled_dot_product_attention(q, k, k)) == pytest.approx(2 * (2 * 5 * 7 * 4))


def test_flops_of_products_in_place_and_backward():
    a, b, out = torch.randn(3, 5), torch.randn(5, 7, requires_grad=True), torch.zeros(3, 7)
    assert costs.count_flops(lambda: out.addmm_(a, b.detach(), alpha=-1)).get_total_flops() == 2 * 3 * 5 * 7
    # As much again for the gradient of b, and none for a's.
    assert costs.count_flops(lambda: (a @ b).sum().backward()).get_total_flops() == 2 * 2 * 3 * 5 * 7


@pytest.mark.parametrize(
    'layer',
    [nn.Conv2d(6, 6, (1, 5), padding=(0, 2), groups=6), nn.Conv2d(6, 8, 3, stride=2), nn.ConvTranspose2d(6, 2, 2)],
)
def test_a_convolution_costs_as_much_for_each_of_its_gradients(layer):
    x = torch.randn(2, 6, 9, 9)

    def flops(x, trained):
        layer.requires_grad_(trained)
        return costs.count_flops(lambda: layer(x).sum().backward()).get_total_flops()

    with torch.no_grad():
        forward = costs.count_flops(lambda: layer(x)).get_total_flops()
    assert forward > 0
    assert flops(x, True) == 2 * forward
    assert flops(x.requires_grad_(), False) == 2 * forward
    assert flops(x, True) == 3 * forward


def test_flops_where_a_view_of_a_parameter_meets_a_module():
    class Scaled(nn.Linear):
        def forward(self, x):
            return super().forward(x) * nn.Identity()(self.bias[:, None].expand(-1, 1).mT)

    layer = Scaled(5, 7)
    with torch.no_grad():
        assert costs.count_flops(lambda: layer(torch.randn(3, 5))).get_total_flops() == 2 * 3 * 5 * 7


@pytest.fixture(scope='module')
def subject(tiny_config):
    with DefaultScope.overwrite_default_scope('mmseg'):
        options = {'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False}
        yield costs.Subject(load_config(tiny_config, {**options, 'train_dataloader.batch_size': 4}), train=True)


def test_a_text_model_counts_its_sentence(subject):
    found = costs.count_macs(lambda: subject.predict(0), subject.model.eval())
    (sample,) = subject.items[0]['data_samples']
    tokens = len(sample.text_ids)
    # Two layers, 16 wide, 32 inside: four projections, the weights and their use, two layers of the MLP.
    layer = 4 * tokens * 16 * 16 + 2 * tokens * tokens * 16 + 2 * tokens * 16 * 32
    assert found['gmacs_text_encoder'] * 1e9 == pytest.approx(2 * layer)
    image = costs.count_macs(lambda: subject.model(sample_image(subject), mode='tensor'), subject.model)
    assert found['gmacs'] > found['gmacs_text_encoder'] + 0.8 * image['gmacs']


def sample_image(subject):
    return subject.model.data_preprocessor(subject.items[0], False)['inputs']


def test_parameters_and_epoch(subject, phantom):
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2, bias=False))
    model[0].requires_grad_(False)
    assert costs.count_parameters(model) == dict(parameters=24, trained_parameters=8)
    rows = len((phantom / 'train.jsonl').read_text().splitlines())
    assert rows % 4  # the last batch is a part
    assert (subject.per_epoch, subject.batch_size) == (rows // 4 + 1, 4)


def test_a_step_trains_and_a_prediction_does_not(subject):
    before = [p.detach().clone() for p in subject.model.parameters()]
    subject.model.eval()
    subject.predict(3)
    assert all(torch.equal(a, b) for a, b in zip(before, subject.model.parameters(), strict=True))
    subject.model.train()
    subject.load(True)
    subject.step()
    subject.load(False)
    assert any(not torch.equal(a, b) for a, b in zip(before, subject.model.parameters(), strict=True))


@pytest.fixture
def in_turn(monkeypatch):
    """Two subjects whose steps and predictions take times that are written down; the order of what they did."""
    order = []

    def make(name, times):
        times = iter(times)

        def act(*_):
            order.append(name)
            return next(times)

        load = lambda on: order.append('(' if on else ')')  # noqa: E731
        return SimpleNamespace(model=nn.Identity(), ready=1, step=act, predict=act, load=load)

    monkeypatch.setattr(costs, 'clock', lambda call: call())
    return make, order


def test_training_is_timed_in_turn_without_what_was_ready(in_turn):
    make, order = in_turn
    # Rounds of two that are not counted and two that are; the second round of a met a busy machine.
    subjects = dict(a=make('a', [99, 99, 1, 3, 99, 99, 50, 50, 99, 99, 2, 2]), b=make('b', [9] * 12))
    assert costs.time_training(subjects, rounds=3, steps=2) == dict(a=2, b=9)
    assert ''.join(order) == '(aaaa)(bbbb)' * 3


def test_predictions_are_timed_in_turn_after_two(in_turn):
    make, order = in_turn
    subjects = dict(a=make('a', [99, 99, 1, 70, 2]), b=make('b', [99, 99, 5, 4, 6]))
    assert costs.time_predictions(subjects, rounds=3) == dict(a=2, b=5)
    assert ''.join(order) == 'ab' * 5


def test_a_row_that_fails_does_not_stop_the_others(tiny_config, tmp_path, capsys):
    (tmp_path / 'bad.py').write_text(f'_base_ = {tiny_config!r}\nmodel = dict(decode_head=dict(ham_channels=7))\n')
    options = [f'train_dataloader.{what}' for what in ('num_workers=0', 'persistent_workers=False', 'batch_size=1')]
    rows = {n: dict(config=c, options=options) for n, c in (('bad', str(tmp_path / 'bad.py')), ('good', tiny_config))}
    with DefaultScope.overwrite_default_scope('mmseg'):
        answer = measure.measure(rows, training=True)
    assert set(answer['bad']) == {'error'}
    assert answer['good']['parameters'] > 60_000
    assert answer['good']['latency'] > 0
    assert answer['good']['seconds_per_iteration'] > answer['good']['latency'] / 10
    assert answer['good']['batch_size'] == 1
    assert 'Traceback' in capsys.readouterr().err
