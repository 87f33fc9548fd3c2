"""What a large annotation table costs: time to load it, memory of this process and of its workers.

python tools/bench_table.py --rows 1000000 [--expressions group] [--workers 2] [--dir DIR]

Made-up rows of the RefHL-Seg layout; five expressions an image, two a mask. The files are there by name and empty:
nothing is decoded. Linux only (memory is read from /proc).
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from torch.utils.data import DataLoader

from mmseg_textseg.benchmark.loading import write_table


def shared_mib(process: int | str) -> float:
    """Proportional set size: a page that n processes share counts 1/n for each."""
    lines = Path(f'/proc/{process}/smaps_rollup').read_text(encoding='utf-8').splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith('Pss:')) / 1024


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Sentence:
    """A pipeline without pictures."""

    def __call__(self, item: dict) -> str:
        return item['text'] if 'text' in item else item['texts'][0]


def measure(root: Path, expressions: str, workers: int) -> None:
    from mmseg.registry import DATASETS

    import mmseg_textseg  # noqa: F401

    print(f'imported: peak {peak_mib():.0f} MiB')
    start = time.perf_counter()
    prefix = dict(img_path='images', seg_map_path='masks')
    options = dict(data_root=str(root), ann_file='train.jsonl', data_prefix=prefix, expressions=expressions)
    dataset = DATASETS.build(dict(type='TextSegDataset', pipeline=[Sentence()], **options))
    print(f'{len(dataset):,} items in {time.perf_counter() - start:.1f} s: peak {peak_mib():.0f} MiB')
    loader = DataLoader(dataset, batch_size=64, shuffle=True, num_workers=workers, collate_fn=len)
    start, read, memory = time.perf_counter(), 0, 0.0
    for number, size in enumerate(loader):
        read += size
        if number % 100 == 50:
            children = Path(f'/proc/self/task/{os.getpid()}/children').read_text(encoding='utf-8').split()
            memory = max(memory, shared_mib('self') + sum(map(shared_mib, children)))
    seconds = time.perf_counter() - start
    print(f'{read:,} items in random order in {seconds:.1f} s: with {workers} workers {memory:.0f} MiB in all')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rows', type=int, default=1_000_000)
    parser.add_argument('--expressions', choices=['all', 'group'], default='all', help='option of TextSegDataset')
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--dir', help='where the made-up files go for a minute (default: a temporary folder)')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        root = Path(folder) / 'table'
        write_table(root, args.rows)
        measure(root, args.expressions, args.workers)


if __name__ == '__main__':
    main()
