"""TextSegMetric in two processes: every value, row and mask that one process gives, exactly."""

import json
import os
from datetime import timedelta
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from torch.utils.data import DataLoader

from mmseg_textseg.datasets.medical import open_volume, view_slice
from mmseg_textseg.evaluation import PROTOCOLS, TextSegMetric

BATCH = 4


@pytest.fixture(scope='module')
def samples(tmp_path_factory, pairs) -> list[dict]:
    """49 items, which neither batches of four nor two processes divide; the last nine are slices of a volume."""
    path = str(tmp_path_factory.mktemp('volume') / 'ct.nii.gz')
    nib.save(nib.Nifti1Image(np.zeros((18, 20, 5), np.int16), np.diag([2.0, 3, 5, 1])), path)
    grid = open_volume(path).grid
    made = []
    for i, (pred, truth) in enumerate(pairs[:49]):
        sample = dict(img_path=f'{i}.png', sample_id=f'item-{i}', text=f'sentence {i}', seg_map_path=f'{i}_mask.png')
        if i % 3:
            sample['spacing'] = (0.5 + i / 50, 0.9)
        if i >= 40:
            pred, truth = pred[:18, :18], truth[:18, :18]
            sample |= dict(img_path=path, slice_view=view_slice(grid, 'axial', 'radiological', i % 5))
            pred, truth = (np.pad(mask, ((0, 2), (0, 0))) for mask in (pred, truth))
        logits = torch.from_numpy(np.where(pred, 0.8, 0.3)[None])
        sample['pred_sem_seg'], sample['seg_logits'] = dict(data=torch.from_numpy(pred)[None]), dict(data=logits)
        sample['gt_sem_seg'] = dict(data=torch.from_numpy(truth)[None])
        made.append(sample)
    return made


def run(samples: list[dict], out: str, round_up: bool = True, threshold: float | None = None) -> dict:
    """As mmengine's test loop does it."""
    metric = TextSegMetric(protocol=list(PROTOCOLS), output_dir=out, save_masks=True, threshold=threshold)
    evaluator = Evaluator([metric])
    sampler = DefaultSampler(samples, shuffle=False, seed=0, round_up=round_up)
    for batch in DataLoader(samples, BATCH, sampler=sampler, collate_fn=lambda items: items):
        evaluator.process(data_samples=batch, data_batch={})
    return evaluator.evaluate(len(samples))


def worker(rank: int, folder: str, samples: list[dict]) -> None:
    os.chdir(folder)  # mmengine gathers through ./.dist_test
    limit = timedelta(seconds=60)  # a gathering that waits for ever must fail the test
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2, timeout=limit)
    try:
        assert len(DefaultSampler(samples, shuffle=False, seed=0)) == 25, 'one item is padding'
        # Padded, as the loaders of every config do it, and bare, where the second process has one item less.
        results = dict(
            padded=run(samples, f'{folder}/padded'),
            bare=run(samples, f'{folder}/bare', round_up=False),
            few=run(samples[:1], f'{folder}/few', threshold=0.5),
        )
        with open(f'{folder}/rank{rank}.json', 'w') as file:
            json.dump(results, file)
    finally:
        dist.destroy_process_group()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.mark.slow
def test_two_processes_give_exactly_what_one_gives(tmp_path, samples):
    expected = {
        'alone': run(samples, str(tmp_path / 'alone')),
        'one': run(samples[:1], str(tmp_path / 'one'), threshold=0.5),
    }
    expected = json.loads(json.dumps(expected))
    assert len(expected['alone']) == 29
    assert not any(np.isnan(list(expected['alone'].values())))
    # Forked: a spawned process would import everything anew, which takes longer than all tests of this folder.
    mp.start_processes(worker, (str(tmp_path), samples), nprocs=2, start_method='fork')
    for rank in (0, 1):
        found = json.loads((tmp_path / f'rank{rank}.json').read_text())
        assert found['padded'] == found['bare'] == expected['alone']
        assert repr(found['few']) == repr(expected['one'])  # with NaN, which equals nothing
    alone = contents(tmp_path / 'alone')
    assert contents(tmp_path / 'padded') == contents(tmp_path / 'bare') == alone
    assert contents(tmp_path / 'few') == contents(tmp_path / 'one')
    rows = alone['per_sample.csv'].decode().splitlines()[1:]
    assert [row.split(',')[0] for row in rows] == [f'item-{i}' for i in range(49)], 'once, in the order of the dataset'
    masks = {name.removeprefix('masks/') for name in alone if name.startswith('masks/')}
    assert masks == {f'item-{i}.png' for i in range(40)} | {'ct-0.nii.gz', 'ct-1.nii.gz'}
    volume = nib.load(tmp_path / 'padded' / 'masks' / 'ct-1.nii.gz').get_fdata()
    said = [bool(sample['pred_sem_seg']['data'].any()) for sample in samples[45:]]
    assert [bool(volume[..., k].any()) for k in range(5)] == [*said, False]
