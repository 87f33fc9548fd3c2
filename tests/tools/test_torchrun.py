"""tools/train.py and tools/test.py under torchrun, two gloo processes and five items, which neither divides."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from one_process import ROOT, TOOLS, environment, table

from mmseg_textseg.datasets.phantom import make_phantom

ITEMS = 5

CONFIG = """
_base_ = '{root}/configs/phantom/lsms-xs_phantom_96x96.py'
model = dict(
    text_encoder=dict(
        tokenizer=dict(build_from='{data}/train.jsonl'),
        arch=dict(hidden_size=16, num_attention_heads=2, intermediate_size=32),
    ),
    backbone=dict(
        arch=dict(_delete_=True, widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratios=(2, 2, 2, 2))
    ),
    decode_head=dict(
        in_channels=[16, 24, 32], ham_channels=16, channels=16, rank=4, norm_cfg=dict(type='GN', num_groups=4)
    ),
)
workers = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}'))
train_dataloader = dict(batch_size=2, sampler=dict(type='DefaultSampler'), **workers)
val_dataloader = dict(batch_size=1, **workers)
test_dataloader = dict(batch_size=1, **workers)
train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=2, val_interval=2)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(by_epoch=True, interval=2))
"""

# Importing everything costs more than all the rest, so both tools run in the same two processes, and once more alone.
SCRIPT = """
import json, os, runpy, sys
import torch.distributed as dist
from mmseg_textseg.models import TextEncoderDecoder

tools, config, here = sys.argv[1:]
rank, seen, loss = os.environ['RANK'], [], TextEncoderDecoder.loss

def noting(self, inputs, samples):
    seen.append([sample.sample_id for sample in samples])
    return loss(self, inputs, samples)

def run(tool, *argv):
    sys.argv = [tool, config, *argv]
    runpy.run_path(f'{tools}/{tool}', run_name='__main__')

TextEncoderDecoder.loss = noting
run('train.py', '--launcher', 'pytorch', '--work-dir', 'work')
with open(f'seen{rank}.json', 'w') as file:
    json.dump(seen, file)
test = ['work/epoch_2.pth', '--work-dir', 'test', '--protocol', 'lvit', 'two-class', 'pooled', 'ris', 'gres']
test += ['--save-masks', '--out']
run('test.py', *test, 'two', '--launcher', 'pytorch')
dist.destroy_process_group()
if rank == '0':
    run('test.py', *test, 'one')
"""


@pytest.fixture(scope='module')
def done(tmp_path_factory) -> SimpleNamespace:
    """Folder ``here`` where all was run; ``data``."""
    here = tmp_path_factory.mktemp('torchrun')
    data = here / 'phantom'
    sizes = dict(size=64, slices_per_case=(3, 3), lesions=(1, 2), splits=(0.4, 0.2, 0.4))
    make_phantom(data, 6, difficulty='easy', progress=False, **sizes)
    for split in ('train', 'test'):
        rows = (data / f'{split}.jsonl').read_text().splitlines(keepends=True)
        (data / f'{split}.jsonl').write_text(''.join(rows[:ITEMS]))
    (here / 'tiny.py').write_text(CONFIG.format(root=ROOT.as_posix(), data=data.as_posix()))
    (here / 'both.py').write_text(SCRIPT)
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2', 'both.py']
    ran = subprocess.run(
        [*command, TOOLS, 'tiny.py', here],
        cwd=here,
        env=environment(tmp_path_factory.mktemp('site')),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    return SimpleNamespace(here=here, data=data)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.mark.slow
def test_an_epoch_has_every_item_and_repeats_one(done):
    """ceil(5 / 2) items a process and epoch: batches of two and of one, in both processes."""
    epochs = [[], []]
    for rank in (0, 1):
        batches = json.loads((done.here / f'seen{rank}.json').read_text())
        assert [len(batch) for batch in batches] == [2, 1, 2, 1]
        for epoch in (0, 1):
            epochs[epoch] += [item for batch in batches[2 * epoch :][:2] for item in batch]
    for items in epochs:
        assert sorted(Counter(items).values()) == [1, 1, 1, 1, 2]


@pytest.mark.slow
def test_two_processes_write_what_one_writes(done):
    """metrics.json, per_sample.csv and masks, byte by byte: what leaderboards read is the same."""
    one, two = contents(done.here / 'one'), contents(done.here / 'two')
    assert two == one
    assert len(one) == 2 + ITEMS
    rows = [json.loads(line) for line in (done.data / 'test.jsonl').read_text().splitlines()]
    assert [row['expression'] for row in table(done.here / 'two')] == [row['expression'] for row in rows]
