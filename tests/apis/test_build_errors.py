"""Mistakes in a config told as sentences, and errors that are none left alone. More cases: tests/reliability."""

import argparse

import pytest
from mmengine.registry import Registry

from mmseg_textseg.apis.build_errors import options_of
from mmseg_textseg.apis.cli import KeyValues, plain_errors

PARTS = Registry('part', scope='mmseg')


@PARTS.register_module()
class Inner:
    def __init__(self, width: int = 1, fail: str = ''):
        if fail == 'value':
            raise ValueError(f'width is {width}; expected 8')
        if fail == 'bug':
            {}['gone']
        if fail == 'type':
            len(3)


@PARTS.register_module()
class Outer:
    def __init__(self, inner: dict, **kwargs):
        self.inner = PARTS.build(inner)
        if kwargs:
            Inner(**kwargs)


class Child(Outer):
    def __init__(self, depth: int, **kwargs):
        super().__init__(**kwargs)


def said(cfg: dict) -> str:
    with pytest.raises(SystemExit) as stop, plain_errors():
        PARTS.build(cfg)
    return stop.value.code


@pytest.mark.parametrize(
    ('cfg', 'expected'),
    [
        (
            dict(type='Outer', inner=dict(type='Inner', widht=2)),
            "ConfigError: the config's Inner cannot be built: no option 'widht': did you mean width? It takes width, "
            'fail',
        ),
        (
            dict(type='Outer', inner=dict(type='Inner', fail='value')),
            "ConfigError: the config's Inner cannot be built: width is 1; expected 8",
        ),
        (
            dict(type='Outer', inner=dict(type='Iner')),
            "ConfigError: type='Iner' in the config is the name of no part that is registered: did you mean Inner?",
        ),
        (
            dict(type='Outer', inner=dict(type='Nothing')),
            "ConfigError: type='Nothing' in the config is the name of no part that is registered: import the module "
            'that registers it: custom_imports',
        ),
    ],
)
def test_the_innermost_part_is_named(cfg, expected):
    assert said(cfg) == expected


def test_what_is_lacking_is_said():
    assert "the config's Outer cannot be built" in said(dict(type='Outer'))
    assert "missing 1 required positional argument: 'inner'" in said(dict(type='Outer'))
    assert "{'width': 3} in the config has no type" in said(dict(type='Outer', inner=dict(width=3)))
    assert "the config's Outer cannot be built: no option 'hight'" in said(
        dict(type='Outer', inner=dict(type='Inner'), hight=1)
    )


@pytest.mark.parametrize(('fail', 'error'), [('bug', KeyError), ('type', TypeError)])
def test_a_bug_in_a_constructor_keeps_its_traceback(fail, error):
    with pytest.raises(error), plain_errors():
        PARTS.build(dict(type='Inner', fail=fail))


def test_an_error_from_elsewhere_keeps_its_traceback():
    part = PARTS.build(dict(type='Inner'))
    with pytest.raises(TypeError), plain_errors():
        len(part)
    with pytest.raises(ValueError), plain_errors():
        int('x')


def test_options_of_parents_that_are_handed_on():
    assert options_of(Inner) == ['width', 'fail']
    assert options_of(Child) == ['depth', 'inner']


@pytest.mark.parametrize('word', ['a', '=3', 'a=[1,(2]'])
def test_words_that_are_no_key_and_value(word, capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues)
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', word])
    assert 'error: argument --cfg-options: ' in capsys.readouterr().err


def test_words_as_mmengine_reads_them():
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues)
    args = parser.parse_args(['--cfg-options', 'a.b=[1,2]', 'c=x=y', '--cfg-options', 'd=None'])
    assert args.cfg_options == {'a.b': [1, 2], 'c': 'x=y', 'd': None}
