"""PackedList: a list in little memory."""

import copy
import pickle

import numpy as np
import pytest

from mmseg_textseg.datasets.packed_list import BLOCK, PackedList

ITEMS = [dict(text=f'lesion {i}', attributes=dict(mm=i / 2), empty=[]) for i in range(3 * BLOCK + 5)]


@pytest.mark.parametrize('count', [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, len(ITEMS)])
def test_it_reads_like_the_list(count):
    plain = ITEMS[:count]
    packed = PackedList(iter(plain))
    assert len(packed) == count
    assert list(packed) == plain
    assert [packed[i] for i in range(-count, count)] == [plain[i] for i in range(-count, count)]
    assert packed == plain
    for index in (count, -count - 1):
        with pytest.raises(IndexError):
            packed[index]


@pytest.mark.parametrize('part', [slice(3), slice(-3, None), slice(1, -1, 7), slice(None, None, -1), slice(5, 2)])
def test_slices(part):
    assert isinstance(PackedList(ITEMS)[part], PackedList)
    assert list(PackedList(ITEMS)[part]) == ITEMS[part]


def test_numpy_indices():
    assert PackedList(ITEMS)[np.int64(BLOCK)] == ITEMS[BLOCK]


def test_changing_what_was_read_changes_nothing():
    packed = PackedList(ITEMS)
    packed[0]['empty'].append(1)
    assert packed[0] == ITEMS[0]


@pytest.mark.parametrize('clone', [copy.deepcopy, lambda packed: pickle.loads(pickle.dumps(packed))])
def test_it_travels_to_a_spawned_worker(clone):
    assert clone(PackedList(ITEMS)) == ITEMS


def test_an_error_of_the_source_comes_through():
    def rows():
        yield 1
        raise ValueError('row 2')

    with pytest.raises(ValueError, match='row 2'):
        PackedList(rows())


def test_it_is_much_smaller_than_the_pickles():
    size = len(pickle.dumps(PackedList(ITEMS)))
    assert size < sum(len(pickle.dumps(item)) for item in ITEMS) / 4
