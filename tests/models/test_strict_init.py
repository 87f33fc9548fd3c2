import pytest
import torch
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn

from mmseg_textseg.models import StrictPretrained, WeightsError


def net(extra=None):
    layers = dict(stem=nn.Conv2d(3, 4, 1), norm=nn.BatchNorm2d(4))
    if extra:
        layers[extra] = nn.Linear(2, 2)
    return nn.ModuleDict(layers)


def snapshot(module):
    return {k: v.clone() for k, v in module.state_dict().items()}


def same(module, state):
    own = module.state_dict()
    return own.keys() == state.keys() and all(torch.equal(own[k], state[k]) for k in own)


@pytest.fixture
def save(tmp_path):
    def write(state):
        path = str(tmp_path / 'weights.pth')
        torch.save(state, path)
        return path

    return write


def test_is_registered():
    built = WEIGHT_INITIALIZERS.build(dict(type='StrictPretrained', checkpoint='x.pth', new=['language']))
    assert isinstance(built, StrictPretrained)
    assert built.new == ('language',)


@pytest.mark.parametrize('wrap', [lambda s: s, lambda s: dict(state_dict=s, meta=dict(epoch=3))])
def test_every_matching_key_arrives(save, wrap):
    source, target = net(), net()
    nn.init.normal_(source['norm'].running_mean)
    StrictPretrained(save(wrap(source.state_dict())))(target)
    assert same(target, source.state_dict())


def test_reports_matched_missing_and_left_keys(save, log_lines):
    state = {**net().state_dict(), 'head.weight': torch.zeros(1)}
    StrictPretrained(save(state), new=['^language'])(net('language'))
    report = next(line for line in log_lines if 'keys matched' in line)
    assert '7 keys matched' in report  # 2 of the convolution, 5 of the norm
    assert '2 of the model keep their own' in report
    assert 'language.weight' in report
    assert '1 of the file not used (head.weight)' in report


def test_prefix_takes_only_the_keys_under_it(save):
    backbone, other, target = net(), net(), net()
    state = {f'backbone.{k}': v for k, v in backbone.state_dict().items()}
    # 'momentum.' is as long as 'backbone.': cutting instead of comparing would take it.
    state |= {f'momentum.{k}': v for k, v in other.state_dict().items()} | dict(other.state_dict())
    StrictPretrained(save(dict(state_dict=state)), prefix='backbone.')(target)
    assert same(target, backbone.state_dict())


def test_new_keys_keep_their_own_initialisation(save):
    source, target = net(), net('language')
    own = target['language'].weight.clone()
    StrictPretrained(save(source.state_dict()), new=('language',))(target)
    assert torch.equal(target['language'].weight, own)
    assert torch.equal(target['stem'].weight, source['stem'].weight)


def test_a_missing_counter_is_no_error(save):
    source, target = net(), net()
    state = {k: v for k, v in source.state_dict().items() if not k.endswith('num_batches_tracked')}
    StrictPretrained(save(state))(target)
    assert torch.equal(target['stem'].weight, source['stem'].weight)


def without(state, *keys):
    return {k: v for k, v in state.items() if k not in keys}


BROKEN = [
    # name, checkpoint from a good state, arguments, words that the message must hold
    ('missing weight', lambda s: without(s, 'stem.bias'), {}, ['absent: stem.bias']),
    ('missing statistic', lambda s: without(s, 'norm.running_var'), {}, ['absent: norm.running_var']),
    ('new does not cover', lambda s: without(s, 'stem.bias'), dict(new=['norm']), ['absent: stem.bias']),
    ('reshaped', lambda s: {**s, 'stem.weight': torch.zeros(4, 1, 1, 1)}, {}, ['(4, 1, 1, 1)', '(4, 3, 1, 1)']),
    ('reshaped though new', lambda s: {**s, 'norm.bias': torch.zeros(9)}, dict(new=['norm']), ['norm.bias', '(9,)']),
    (
        'nothing matches',
        lambda s: {f'backbone.{k}': v for k, v in s.items()},
        {},
        ['no key', 'backbone.stem', 'prefix'],
    ),
    ('nothing matches, all new', lambda s: dict(other=torch.zeros(1)), dict(new=['.*']), ['no key', 'other']),
    ('nothing under prefix', lambda s: s, dict(prefix='backbone.'), ["'backbone.'", 'stem.weight']),
]


@pytest.mark.parametrize(('change', 'arguments', 'words'), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_an_error_names_the_keys_and_leaves_the_module_unchanged(save, change, arguments, words):
    target = net()
    before, path = snapshot(target), save(change(net().state_dict()))
    with pytest.raises(WeightsError) as error:
        StrictPretrained(path, **arguments)(target)
    assert all(word in str(error.value) for word in [*words, path, 'ModuleDict']), str(error.value)
    assert same(target, before)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        StrictPretrained(str(tmp_path / 'no.pth'))(net())
