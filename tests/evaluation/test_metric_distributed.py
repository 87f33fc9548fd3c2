"""TextSegMetric gathered from two processes: no item lost, none twice, the table in the dataset's order."""

import csv
import json
import os
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.dataset import DefaultSampler

from mmseg_textseg.evaluation import TextSegMetric

ITEMS, BATCH = 5, 2


def item(i: int) -> dict:
    """Prediction of i + 1 pixels, truth of 6: tp = i + 1, fn = 5 - i."""
    pred, truth = torch.zeros(1, 1, 6), torch.ones(1, 1, 6)
    pred[..., : i + 1] = 1
    return dict(
        img_path=f'{i}.png', sample_id=str(i), text=f't{i}', pred_sem_seg=dict(data=pred), gt_sem_seg=dict(data=truth)
    )


def run(indices: list[int], out: str) -> dict:
    metric = TextSegMetric(output_dir=out)
    for start in range(0, len(indices), BATCH):
        metric.process({}, [item(i) for i in indices[start : start + BATCH]])
    return metric.evaluate(ITEMS)


def worker(rank: int, folder: str) -> None:
    os.chdir(folder)  # mmengine gathers through ./.dist_test
    limit = timedelta(seconds=30)  # a gathering that waits for ever must fail the test
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2, timeout=limit)
    try:
        # Padded, as the loaders of every config do it: 0 2 4 and 1 3 0. Bare: 0 2 4 and 1 3.
        padded = list(DefaultSampler(range(ITEMS), shuffle=False))
        assert len(padded) == 3
        bare = list(DefaultSampler(range(ITEMS), shuffle=False, round_up=False))
        results = dict(padded=run(padded, f'{folder}/padded'), bare=run(bare, f'{folder}/bare'))
        with open(f'{folder}/rank{rank}.json', 'w') as file:
            json.dump(results, file)
    finally:
        dist.destroy_process_group()


def test_two_processes_give_what_one_gives(tmp_path):
    expected = run(list(range(ITEMS)), str(tmp_path / 'alone'))
    # Forked: a spawned process would import everything anew, which takes longer than all tests of this folder.
    mp.start_processes(worker, (str(tmp_path),), nprocs=2, start_method='fork')
    for rank in (0, 1):
        for results in json.loads((tmp_path / f'rank{rank}.json').read_text()).values():
            assert results == pytest.approx(expected)
    for name in ('alone', 'padded', 'bare'):
        with (tmp_path / name / 'per_sample.csv').open(newline='') as file:
            assert [row['sample_id'] for row in csv.DictReader(file)] == ['0', '1', '2', '3', '4']
    assert expected['dice'] == pytest.approx(sum(2 * n / (n + 6) for n in range(1, 6)) / 5)
    assert expected['acc'] == expected['recall'] == expected['pooled_acc'] == pytest.approx(15 / 30)
