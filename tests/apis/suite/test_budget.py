"""Budgets and seeds as they are written."""

import pytest

from mmseg_textseg.apis import ConfigError
from mmseg_textseg.apis.suite import Budget, parse_budget, parse_seeds
from mmseg_textseg.apis.suite.budget import count_iterations


@pytest.mark.parametrize(
    ('text', 'amount', 'unit'),
    [
        ('800it', 800, 'iterations'),
        ('5ep', 5, 'epochs'),
        ('0.5 ep', 0.5, 'epochs'),
        ('90s', 90, 'seconds'),
        ('2min', 120, 'seconds'),
        ('1.5h', 5400, 'seconds'),
    ],
)
def test_budget(text, amount, unit):
    assert parse_budget(text) == Budget(amount, unit)


@pytest.mark.parametrize('text', ['800', '', '2 minutes', '-5it', '0it', '2.5it', 'it', '1e3it', '5ep 3'])
def test_bad_budget(text):
    with pytest.raises(ConfigError, match=r'expected iterations \(800it\)'):
        parse_budget(text)


@pytest.mark.parametrize(('text', 'seeds'), [('3', (0, 1, 2)), ('1', (0,)), ('0,7,9', (0, 7, 9)), ('7,', (7,))])
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize('text', ['0', '', ',', '-1', '1.5', 'a', '1,1', '0,x'])
def test_bad_seeds(text):
    with pytest.raises(ConfigError, match='--seeds'):
        parse_seeds(text)


@pytest.mark.parametrize(
    ('text', 'iterations'), [('800it', 800), ('3ep', 120), ('0.5ep', 20), ('10s', 40), ('9.99s', 39), ('0.1s', 1)]
)
def test_iterations(text, iterations):
    # 40 iterations an epoch, a quarter of a second each: time is rounded down, so that the budget holds.
    assert count_iterations(parse_budget(text), 40, 0.25) == iterations
