"""Groups of models, parts and configs: built one by one, contenders do the same job."""

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope

from mmseg_textseg.apis import ConfigError
from mmseg_textseg.benchmark import cases, configs, models, parts

SMALL = dict(sizes=(64,), batches=(2,), variants=('micro',))


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def test_options_that_a_case_does_not_know_are_left_out():
    groups = cases.groups('parts', dict(SMALL, threads=1, sizes=None))
    assert isinstance(groups, Iterator)
    assert next(groups).name == 'contrast/1024/2'  # the default size, the given batch


def test_every_case_is_a_generator():
    present = {path.stem for path in Path(cases.__file__).parent.glob('*.py')}
    assert {'models', 'parts', 'configs'} <= present
    for module, function in cases.CASES.values():
        if module in present:
            found = importlib.import_module(f'mmseg_textseg.benchmark.{module}')
            assert inspect.isgeneratorfunction(getattr(found, function))


def test_encoders_agree():
    (group,) = models.encoder_groups(**SMALL)
    assert group.name == 'encoder/micro/64/2'
    assert group.axis == dict(pixels=64 * 64, batch=2)
    stock, *others = (call() for call in group.contenders.values())
    assert not stock[0].requires_grad
    assert [tuple(one.shape) for one in stock] == [(2, 8, 16, 16), (2, 16, 8, 8), (2, 24, 4, 4), (2, 32, 2, 2)]
    assert len(others) == 3
    for maps in others:
        for a, b in zip(stock, maps, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_whole_models_have_one_shape_and_ours_say_the_same_however_the_words_come():
    (group,) = models.lsms_groups(**SMALL)
    found = {name: call() for name, call in group.contenders.items()}
    stock = found.pop('SegNeXt at stride 4')
    torch.testing.assert_close(found.pop('the same, channels-last'), stock, rtol=1e-4, atol=1e-5)
    first = found['LSMS with BERT']
    assert stock.shape == first.shape == (2, 2, 16, 16)
    assert group.reference == 'SegNeXt at stride 4'
    for logits in found.values():
        torch.testing.assert_close(logits, first, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(stock, first)


@pytest.mark.parametrize('bert', [False, True], ids=['words', 'bert'])
def test_a_step_trains_and_leaves_no_gradient(bert):
    group = list(models.step_groups(**SMALL))[bert]
    assert group.name == f'step{"-bert" if bert else ""}/micro/64/2'
    for call in group.contenders.values():
        step = call.func
        trained = [*step.model.parameters(), *(step.text_encoder.parameters() if bert else ())]
        before = [p.detach().clone() for p in trained]
        assert 0 < call() < 10
        moved = [not torch.equal(a, b) for a, b in zip(before, trained, strict=True)]
        assert sum(moved) > 0.9 * len(moved)
        assert all(p.grad is None for p in trained)


def test_a_step_changes_the_loss_it_is_asked_to():
    (group,) = list(models.step_groups(**SMALL))[:1]
    step, data = group.contenders['LSMS'].func, group.contenders['LSMS'].args
    step.optimizer.param_groups[0]['lr'] = 1e-2
    losses = [step(*data) for _ in range(15)]
    assert sum(losses[-3:]) < 0.95 * sum(losses[:3])


def test_an_unknown_variant():
    with pytest.raises(ValueError, match="variant 'huge': expected one of tiny, small, base, large, micro"):
        next(models.lsms_groups(variants=('huge',)))


def test_variants_are_those_of_the_configs():
    text = (Path(__file__).parents[2] / 'configs/_base_/models/lsms.py').read_text()
    base, tiny = models.VARIANTS['base'], models.VARIANTS['tiny']
    assert f'ham_channels={base.ham_channels},' in text
    assert f'channels={base.channels},' in text
    text = (Path(__file__).parents[2] / 'configs/lsms/lsms-t_refhl_480x480.py').read_text()
    assert f'ham_channels={tiny.ham_channels}, rank={tiny.rank})' in text
    head = models.build_stock(tiny, text=False).decode_head
    assert (head.ham_channels, head.hamburger.ham.R, head.channels) == (256, 16, 256)
    assert (head.hamburger.ham.train_steps, head.hamburger.ham.eval_steps) == (6, 7)


def test_parts_run():
    names = []
    for group in parts.groups(sizes=(32,), batches=(2,)):
        names.append(group.name)
        for call in group.contenders.values():
            call()
    assert names == [
        'contrast/64/2',
        'nmf-train/64/2',
        'nmf-eval/64/2',
        'instance-norm/16/2',
        'squeeze/32/2',
        'strip/64/2',
        'evaluation/32/2',
    ]


def test_squeezes_agree():
    early, late = (call() for call in parts.squeeze(64, 1).contenders.values())
    torch.testing.assert_close(early, late, rtol=1e-4, atol=1e-5)


def test_backward_leaves_nothing_behind():
    layer, x = torch.nn.Linear(3, 2), torch.randn(4, 3)
    seen = []
    layer.register_full_backward_hook(lambda _, grads, __: seen.append(grads[0]))
    parts.backward(layer, x, layer)
    assert torch.equal(seen[0], torch.ones(4, 2) @ layer.weight)
    assert layer.weight.grad is None
    assert not x.requires_grad


def test_configs_without_data(tiny_config, tmp_path):
    path = tmp_path / 'other.py'
    path.write_text(
        f'_base_ = {tiny_config!r}\n'
        "model = dict(text_encoder=dict(tokenizer=dict(_delete_=True, build_from='absent.jsonl')))\n"
    )
    found = list(configs.groups([tiny_config, str(path)], sizes=(64,), batches=(2,)))
    assert [group.name for group in found] == ['configs-predict/64/2', 'configs-train/64/2']
    predict, train = found
    assert list(predict.contenders) == ['tiny', 'other']
    model = train.contenders['other'].func.__self__.model
    assert model.text_encoder.bert.config.vocab_size == configs.ENTRIES + 5
    before = model.decode_head.conv_seg.weight.detach().clone()
    assert train.contenders['other']()['loss'] > 0
    assert not torch.equal(before, model.decode_head.conv_seg.weight)
    assert model.training


def test_configs_predict_at_their_own_size(tiny_config):
    group = next(configs.groups([tiny_config], batches=(1,)))
    assert (group.name, group.axis) == ('configs-predict/own-size/1', dict(batch=1))
    before = [p.detach().clone() for p in group.contenders['tiny'].func.__self__.model.parameters()]
    (sample,) = group.contenders['tiny']()
    assert sample.pred_sem_seg.shape == (96, 96)
    after = group.contenders['tiny'].func.__self__.model.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_config_that_is_not_there():
    with pytest.raises(ConfigError, match=r'no config file at absent\.py'):
        next(configs.groups(['absent.py']))
