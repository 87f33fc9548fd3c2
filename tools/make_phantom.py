"""Makes the phantom: made-up CT slices with referring expressions.

python tools/make_phantom.py --out data/phantom --cases 60 --size 480 --seed 0
"""

import argparse
import sys
from pathlib import Path

# The package by itself: neither this process nor its workers load PyTorch through mmseg_textseg.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'mmseg_textseg' / 'datasets'))

from phantom import make_phantom


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', required=True, help='folder to write: new, empty or a phantom')
    parser.add_argument('--cases', type=int, required=True, help='number of made-up patients')
    parser.add_argument('--size', type=int, default=480, help='side of the pictures in pixels (default: 480)')
    parser.add_argument('--seed', type=int, default=0, help='seed of everything (default: 0)')
    parser.add_argument(
        '--slices-per-case', type=int, nargs='+', default=[6, 12], metavar='K', help='K, or least and greatest (6 12)'
    )
    parser.add_argument('--lesions', type=int, nargs=2, default=[1, 5], metavar=('MIN', 'MAX'), help='a slice (1 5)')
    parser.add_argument('--difficulty', choices=['default', 'easy'], default='default')
    parser.add_argument('--workers', type=int, help='processes (default: all cores for more than 60 slices)')
    parser.add_argument('--splits', type=float, nargs=3, default=[0.7, 0.1, 0.2], metavar=('TRAIN', 'VAL', 'TEST'))
    parser.add_argument('--overwrite', action='store_true', help='replace a phantom, also an interrupted one')
    args = parser.parse_args(argv)
    if len(args.slices_per_case) > 2:
        parser.error('--slices-per-case takes one or two numbers')
    return args


def main() -> None:
    args = parse_args()
    slices = args.slices_per_case
    try:
        counts = make_phantom(
            args.out,
            args.cases,
            size=args.size,
            seed=args.seed,
            slices_per_case=(slices[0], slices[-1]),
            lesions=tuple(args.lesions),
            difficulty=args.difficulty,
            workers=args.workers,
            splits=args.splits,
            overwrite=args.overwrite,
        )
    except (ValueError, FileExistsError, RuntimeError) as error:
        sys.exit(f'error: {error}')
    for key, values in counts.items():
        print(f'{key:<12}' + '  '.join(f'{name} {number}' for name, number in values.items()))


if __name__ == '__main__':
    main()
