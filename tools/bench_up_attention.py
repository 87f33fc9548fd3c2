"""UpAttention's first convolution on the small map against the same on the up-sampled one: time, memory, difference.

python tools/bench_up_attention.py [--base-channels 64] [--size 224] [--batch 1] [--threads 2] [--repeats 5]

Both forms run in turn in one process; prints the median and range of seconds, bytes kept for backward, and products.
"""

import argparse
import statistics
import time
from functools import partial

import torch
import torch.nn.functional as F
from prettytable import PrettyTable
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mmseg_textseg.models import UpAttention


def direct(block: UpAttention, deep: Tensor, skip: Tensor) -> Tensor:
    """As the paper says it: up-sample, concatenate, convolve."""
    up = F.interpolate(deep, scale_factor=2, mode='nearest')
    x = F.conv2d(torch.cat([block.gate(skip) * skip, up], dim=1), block.conv1.conv.weight, padding=1)
    return block.conv2(block.conv1.activate(block.conv1.norm(x)))


def saved_bytes(forward) -> int:
    """Bytes of distinct tensors that autograd keeps from ``forward()``, weights included."""
    kept = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = forward()
    del output
    return sum(kept.values())


def measure(forms: dict, repeats: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of prediction and of a training step, the forms taking turns; the first round does not count."""
    times = {name: dict(predict=[], train=[]) for name in forms}
    for turn in range(repeats + 1):
        for name, form in forms.items():
            with torch.no_grad():
                start = time.perf_counter()
                form()
                predict = time.perf_counter() - start
            start = time.perf_counter()
            form().sum().backward()
            train = time.perf_counter() - start
            if turn:
                times[name]['predict'].append(predict)
                times[name]['train'].append(train)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description='Time both forms of UpAttention')
    parser.add_argument('--base-channels', type=int, default=64, help='C of PPE; the skips are 3 C and 6 C wide')
    parser.add_argument('--size', type=int, default=224)
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    table = PrettyTable(['maps', 'form', 'predict, ms', 'train, ms', 'kept, MB', 'GMAC'])
    for scale in (2, 1):
        c, side = 3 * scale * args.base_channels, args.size // scale
        block = UpAttention(2 * c, c).to(memory_format=torch.channels_last)
        shapes = (args.batch, 2 * c, side // 2, side // 2), (args.batch, c, side, side)
        deep, skip = (
            torch.randn(shape).contiguous(memory_format=torch.channels_last).requires_grad_() for shape in shapes
        )
        forms = {'up-sampled': partial(direct, block, deep, skip), 'small map': partial(block, deep, skip)}
        times = measure(forms, args.repeats)
        for name, form in forms.items():
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                form()
            cells = [
                f'{1e3 * statistics.median(v):.0f} ({1e3 * min(v):.0f} to {1e3 * max(v):.0f})'
                for v in times[name].values()
            ]
            maps = f'{2 * c} x {side // 2}, {c} x {side}'
            row = [maps, name, *cells, f'{saved_bytes(form) / 1e6:.0f}', f'{counter.get_total_flops() / 2e9:.2f}']
            table.add_row(row)
        block.eval()
        with torch.no_grad():
            difference = (forms['up-sampled']() - forms['small map']()).abs().max() / forms['small map']().abs().max()
        table.add_row(['', 'largest difference, relative', f'{difference:.1e}', '', '', ''], divider=True)
    print(f'torch {torch.__version__}, {args.threads} threads, batch {args.batch}')
    print(table)


if __name__ == '__main__':
    main()
