"""A training and a dataset hold no more after many steps than after a few."""

import pytest
from growing import build, read, small_phantom, train
from mmengine.registry import DefaultScope

MEGABYTE = 1 << 20


@pytest.fixture(scope='module')
def runner(tmp_path_factory):
    folder = tmp_path_factory.mktemp('growth')
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield build(small_phantom(folder / 'phantom'), folder, 160)


@pytest.mark.slow
def test_a_training_does_not_grow(runner):
    """The first iterations and checkpoints fill buffers; then not even one object an iteration is left behind."""
    early, late = train(runner, {60, 160})
    assert late.objects - early.objects < 90
    assert late.resident - early.resident < 8 * MEGABYTE


def test_reads_do_not_grow(runner):
    """Each item is of some 12 kB."""
    early, late = read(runner.build_dataloader(runner.cfg.train_dataloader).dataset, {100, 1100})
    assert late.objects - early.objects < 90
    assert late.resident - early.resident < 4 * MEGABYTE
