"""Time LSMS, MPTPN and their parts beside other ways to do the same job, in one process.

python tools/benchmark.py --out work_dirs/benchmark
python tools/benchmark.py encoder step --sizes 256 480 --batches 2 --variants tiny --threads 2 --repeats 9
python tools/benchmark.py --configs configs/phantom/lsms-xs_phantom_96x96.py configs/phantom/unet-c16_phantom_96x96.py

Contenders take turns, so that other work on the machine meets all of them. The machine's own peak is measured before
and after. --out DIR holds benchmark.json (every time), benchmark.md, ratios.png and growth.png from the first group on,
so that a run that is stopped keeps what it has.
"""

import argparse
import os
import sys
import traceback
from pathlib import Path

from mmseg_textseg.apis.cli import KeyValues, plain_errors

NAMES = ('machine', 'encoder', 'lsms', 'step', 'parts', 'text', 'loading', 'mptpn')
NAMES += ('compile', 'compile-encoder', 'compile-step')
# Sizes of a run that only shows that all is in place.
QUICK = dict(sizes=[64], batches=[1], variants=['micro'])
QUICK_PEAKS = dict(gemm_sides=(128,), conv_shapes=((16, 16),), repeats=1)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('cases', nargs='*', metavar='CASE', help=f'{", ".join(NAMES)}, all; default: all')
    parser.add_argument('--configs', nargs='+', metavar='CONFIG', help='contenders, the first is the reference')
    parser.add_argument(
        '--cfg-options', nargs='+', action=KeyValues, metavar='KEY=VALUE', help='override values of these configs'
    )
    parser.add_argument('--sizes', nargs='+', type=int, metavar='N', help='sides of images; default: of each case')
    parser.add_argument('--batches', nargs='+', type=int, metavar='N', help='images; default: of each case')
    parser.add_argument('--variants', nargs='+', metavar='NAME', help='tiny, small, base, large; default: tiny base')
    parser.add_argument('--threads', type=int, metavar='N', help='of torch; default: as torch chooses')
    parser.add_argument('--repeats', type=int, default=7, metavar='N', help='rounds that count (7)')
    parser.add_argument('--warmup', type=int, default=1, metavar='N', help='rounds before, that do not (1)')
    parser.add_argument('--out', type=Path, metavar='DIR', help='where to write; default: the tables are only printed')
    parser.add_argument(
        '--memory', action='store_true', help='memory of the process too, each contender in a new one (slow; Linux)'
    )
    parser.add_argument(
        '--default-allocator',
        action='store_true',
        help='map large blocks of memory anew at each allocation, as the C library does by itself; by default it is '
        'told not to, for all contenders, as tools/train.py does',
    )
    parser.add_argument('--quick', action='store_true', help='tiny sizes, one round: a trial, no figures')
    args = parser.parse_args(argv)
    unknown = sorted(set(args.cases) - {*NAMES, 'all'})
    if unknown:
        parser.error(f'no case {", ".join(unknown)}; expected some of {", ".join(NAMES)}, all')
    for name in ('sizes', 'batches', 'threads', 'repeats', 'warmup'):
        values = getattr(args, name)
        for value in values if isinstance(values, list) else [values]:
            if value is not None and value < 1:
                parser.error(f'--{name} is {value}; expected 1 or more')
    if args.cfg_options and not args.configs:
        parser.error('--cfg-options are of --configs, which is not there')
    return args


def choose(args: argparse.Namespace) -> list[str]:
    """Cases in the order of ``NAMES``, then the configs."""
    wanted = set(args.cases)
    if 'all' in wanted or not (wanted or args.configs):
        wanted = set(NAMES)
    return [*(name for name in NAMES if name in wanted and name != 'machine'), *(['configs'] if args.configs else [])]


class Run:
    """A run and its record.

    Args:
        args: of the command line.
    """

    def __init__(self, args: argparse.Namespace):
        from mmseg_textseg.benchmark import machine

        self.args = args
        keys = ('sizes', 'batches', 'variants', 'configs', 'cfg_options')
        self.options = dict(QUICK if args.quick else {})
        self.options |= {key: getattr(args, key) for key in keys if getattr(args, key) is not None}
        self.repeats, self.warmup = (1, 1) if args.quick else (args.repeats, args.warmup)
        self.record = dict(
            machine=machine.describe() | dict(keeps_freed_memory=not args.default_allocator),
            peaks=self.peaks(),
            command=sys.argv[1:],
            repeats=self.repeats,
            warmup=self.warmup,
            groups=[],
            failures=[],
        )
        self.options |= dict(threads=self.record['machine']['threads'], keep_memory=not args.default_allocator)

    def peaks(self) -> dict[str, float]:
        """Of the machine."""
        from mmseg_textseg.benchmark import machine

        return machine.peaks(**(QUICK_PEAKS if self.args.quick else {}))

    def case(self, name: str) -> None:
        """Measure the groups of a case; what fails does not stop the others."""
        from mmseg_textseg.benchmark import cases, report

        try:
            for group in cases.groups(name, self.options):
                found = self.group(name, group)
                self.record['groups'].append(found)
                print(f'\n{found["job"]}\n{report.table([found], self.record["peaks"]["gemm"])}', flush=True)
                self.write()
                del group  # before the next one is built
        except Exception as error:  # a case may be wrong in any way
            traceback.print_exc()
            self.record['failures'].append(f'{name}: {type(error).__name__}: {error}')

    def group(self, case: str, group) -> dict:
        """Measure one group."""
        from mmseg_textseg.benchmark import measure, memory

        if any(group.name == one['name'] for one in self.record['groups']):
            raise ValueError(f'two groups are called {group.name}')
        found = measure.measure(group, self.repeats, self.warmup)
        if self.args.memory:
            for contender, values in found['contenders'].items():
                values['process_bytes'] = memory.process_peak_of(case, self.options, group, contender)
        return found

    def write(self) -> None:
        """Write the record where it is wanted."""
        from mmseg_textseg.benchmark import report

        if self.args.out is not None:
            report.write(self.record, self.args.out)


def main() -> None:
    args = parse_args()
    os.environ['HF_HUB_OFFLINE'] = '1'  # before transformers is imported; weights are random
    with plain_errors(ImportError):
        import torch

        from mmseg_textseg.benchmark import cases, report

        cases.prepare(args.threads or torch.get_num_threads(), keep_memory=not args.default_allocator)
        run = Run(args)
        for name in choose(args):
            run.case(name)
        # A busy moment at the start would make all shares look better.
        again = run.peaks()
        run.record['peaks'] = {key: max(value, again[key]) for key, value in run.record['peaks'].items()}
        run.write()
    print(f'\n{report.as_markdown(run.record)}')
    if args.out is not None:
        print(f'written to {args.out}')
    if run.record['failures']:
        sys.exit(1)


if __name__ == '__main__':
    main()
