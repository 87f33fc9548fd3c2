"""What decides whether a folder is of a config."""

import pytest
from mmengine.config import Config

from mmseg_textseg.apis import ConfigError
from mmseg_textseg.apis.suite import record

OLD = record.flat_config(Config(dict(a=dict(b=[1, dict(c=2)], d='x'), e=dict(), f=(0.5, 1))))


def test_flat():
    assert OLD == {'a.b.0': '1', 'a.b.1.c': '2', 'a.d': "'x'", 'e': '{}', 'f.0': '0.5', 'f.1': '1'}
    assert record.digest(OLD) == record.digest(dict(reversed(OLD.items())))
    assert record.digest(OLD) != record.digest({**OLD, 'f.1': '2'})


def test_differences():
    new = {**OLD, 'a.b.1.c': '3', 'g': 'True'}
    del new['f.1']
    assert record.differences(OLD, new) == 'a.b.1.c: 2 -> 3; f.1: 1 -> absent; g: absent -> True'
    assert record.differences({}, OLD).endswith('; and 3 more')


def test_another_config_is_refused_unless_redone(tmp_path):
    path = tmp_path / 'row' / 'run.json'
    assert record.same_or_redo(path, 'row', OLD, redo=False) is None
    record.write(path, dict(config=OLD, trained=True))
    assert record.same_or_redo(path, 'row', OLD, redo=True)['trained']
    new = {**OLD, 'a.d': "'y'"}
    with pytest.raises(
        record.ChangedError, match=r"row in .*row was made with another config .*a.d: 'x' -> 'y'.*--redo"
    ):
        record.same_or_redo(path, 'row', new, redo=False)
    assert record.same_or_redo(path, 'row', new, redo=True) is None
    assert not path.parent.exists()


def test_options():
    assert record.parse_options(['a.b=2', 'c=x', 'd=(1,2)']) == {'a.b': 2, 'c': 'x', 'd': (1, 2)}
    assert record.parse_options([]) == {}
    with pytest.raises(ConfigError, match='--cfg-options a: expected KEY=VALUE'):
        record.parse_options(['a'])
    for key in ('train_cfg.max_iters', 'randomness.seed', 'param_scheduler', 'default_hooks.checkpoint.interval'):
        with pytest.raises(ConfigError, match=f'{key}: a suite sets it'):
            record.parse_options([f'{key}=1'])


def test_options_of_a_text_encoder_do_not_reach_a_text_free_model():
    words = ['model.text_encoder.pretrained=DIR', 'train_dataloader.batch_size=2']
    for encoder, wanted in (
        (dict(text_encoder=dict(type='Bert')), words),
        (dict(text_encoder=None), words[1:]),
        ({}, words[1:]),
    ):
        assert record.options_of(Config(dict(model=dict(type='X', **encoder))), words) == wanted
