"""What is said beside the table."""

from pathlib import Path

import pytest

from mmseg_textseg.apis.suite import Row, Suite, parse_budget, report


@pytest.fixture
def make_suite():
    """Function budget -> a suite of two rows."""

    def make(budget):
        rows = [Row(name, Path(f'{name}.py')) for name in ('a', 'b')]
        return Suite(rows, Path('out'), parse_budget(budget), seeds=(0, 1))

    return make


def record(name, **more):
    plain = dict(row=name, failure='', seeds=2, of_seeds=2, batch_size=8, iterations=100, seconds=25.0)
    return plain | dict(measured_seconds_per_iteration=None) | more


def test_no_remark_where_there_is_nothing_to_say(make_suite):
    assert report._remarks([record('a'), record('b')], make_suite('100it')) == []


def test_other_batches_make_equal_iterations_unequal(make_suite):
    rows = [record('a'), record('b', batch_size=4)]
    assert report._remarks(rows, make_suite('100it')) == [
        'equal iterations are not equal images here; batch sizes: a 8, b 4'
    ]
    assert report._remarks(rows, make_suite('5ep')) == []


def test_failed_and_unfinished_rows(make_suite):
    rows = [record('a', seeds=1), record('b', seeds=0, failure='no data')]
    assert report._remarks(rows, make_suite('5ep')) == ['b: no data', 'a: 1 of 2 seeds are finished']


def test_a_budget_of_time_tells_what_it_became(make_suite):
    rate = dict(measured_seconds_per_iteration=0.25)
    rows = [record('a', **rate), record('b', **rate, seconds=31.0), record('c', **rate, seconds=None)]
    kept, slower, unfinished = report._remarks(rows, make_suite('25s'))
    assert kept == 'a: 100 iterations, from 0.250 s each as measured beforehand'
    assert slower.endswith('; the machine was slower then, so that they took 31 s')
    assert unfinished == kept.replace('a:', 'c:')
