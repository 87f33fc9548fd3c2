"""Memory over a training's iterations and a dataset's reads.

The suite runs short ones (test_growth.py). The long ones by hand, from the repository:

    python tests/engine/growing.py
"""

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mmengine.hooks import Hook

from mmseg_textseg.apis import load_config
from mmseg_textseg.datasets.phantom import make_phantom
from mmseg_textseg.engine import TextSegRunner

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
_base_ = '{root}/configs/phantom/lsms-xs_phantom_96x96.py'
scale = (32, 32)
vocabulary = dict(build_from='{data}/train.jsonl')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='Resize', scale=scale, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='SwapDirectionWords', on_refusal='undo'),
    dict(type='TokenizeText', tokenizer=vocabulary),
    dict(type='PackTextSegInputs'),
]
model = dict(
    text_encoder=dict(
        tokenizer=vocabulary, arch=dict(hidden_size=16, num_attention_heads=2, intermediate_size=32)
    ),
    backbone=dict(
        arch=dict(_delete_=True, widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratios=(2, 2, 2, 2)),
        text_channels=16,
    ),
    decode_head=dict(
        in_channels=[16, 24, 32], ham_channels=16, channels=16, rank=4, text_channels=16,
        norm_cfg=dict(type='GN', num_groups=4),
    ),
)
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False,
    dataset=dict(data_root='{data}', pipeline=train_pipeline),
)
val_dataloader = val_evaluator = val_cfg = test_dataloader = test_evaluator = test_cfg = None
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters={iterations}, val_interval=10**9)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(_delete_=True, type='CheckpointHook', by_epoch=False,
                     interval=20, max_keep_ckpts=1))
log_level = 'ERROR'
work_dir = '{work}'
"""


class Held(NamedTuple):
    """What the process holds.

    Attributes:
        done: iterations or reads.
        resident: bytes of memory; Linux only.
        objects: Python objects that the garbage collector knows.
    """

    done: int
    resident: int
    objects: int


def held(done: int) -> Held:
    """Now, after a collection."""
    gc.collect()
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return Held(done, pages * os.sysconf('SC_PAGE_SIZE'), len(gc.get_objects()))


class Watch(Hook):
    """Looks at the memory after the iterations ``at``."""

    priority = 'LOWEST'

    def __init__(self, at: set[int]) -> None:
        self.at, self.found = at, []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 in self.at:
            self.found.append(held(runner.iter + 1))


def small_phantom(folder: Path) -> Path:
    """A few pictures of 64 x 64."""
    sizes = dict(size=64, slices_per_case=(2, 2), lesions=(1, 2), splits=(0.6, 0.2, 0.2))
    make_phantom(folder, 6, difficulty='easy', progress=False, workers=1, **sizes)
    return folder


def build(data: Path, folder: Path, iterations: int) -> TextSegRunner:
    """A tiny LSMS (32 x 32, two pictures a batch), with all hooks, logs and checkpoints of a real training."""
    path = folder / 'growing.py'
    work = (folder / 'work').as_posix()
    path.write_text(CONFIG.format(root=ROOT.as_posix(), data=data.as_posix(), work=work, iterations=iterations))
    return TextSegRunner.from_cfg(load_config(path))


def train(runner: TextSegRunner, at: set[int]) -> list[Held]:
    """The memory at these iterations."""
    watch = Watch(at)
    runner.register_hook(watch)
    runner.train()
    return watch.found


def read(dataset, at: set[int]) -> Iterator[Held]:
    """Read items in turn, and the memory after so many reads."""
    for number in range(1, max(at) + 1):
        dataset[number % len(dataset)]
        if number in at:
            yield held(number)


def main() -> None:
    """2,000 iterations and 20,000 reads."""
    with tempfile.TemporaryDirectory() as name:
        data = small_phantom(Path(name) / 'phantom')
        runner = build(data, Path(name), 2000)
        for found in train(runner, {1, 10, 100, 500, 1000, 1500, 2000}):
            print('iteration', *found, file=sys.stderr)
        for found in read(runner.train_dataloader.dataset, {1, 100, 1000, 5000, 10_000, 15_000, 20_000}):
            print('read', *found, file=sys.stderr)


if __name__ == '__main__':
    main()
