"""Bring a published dataset into the layout that the configs read: pictures, masks and a table a split.

python tools/convert_dataset.py NAME --src DIR --out DIR

Writes nowhere but --out. A run that was stopped goes on where it was, and a second one writes nothing; the checksums
are in SHA256SUMS (sha256sum -c). `... NAME --help` tells what a dataset's published form is and what can be chosen.
"""

import argparse
from pathlib import Path

from mmseg_textseg.apis.cli import plain_errors
from mmseg_textseg.datasets.converters import CONVERTERS, Conversion, ConversionError
from mmseg_textseg.datasets.converters.conversion import CHECKSUMS

# What says nothing about the result: another run with another one of these goes on in the same folder.
NOT_RECORDED = ('name', 'src', 'out', 'no_progress')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = parser.add_subparsers(dest='name', metavar='NAME', required=True)
    for name, module in CONVERTERS.items():
        one = names.add_parser(
            name, help=module.HELP, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        one.add_argument('--src', required=True, type=Path, metavar='DIR', help='folder of the published form')
        one.add_argument('--out', required=True, type=Path, metavar='DIR', help='folder to write')
        one.add_argument('--no-progress', action='store_true', help='no progress bar')
        module.add_arguments(one)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with plain_errors(ConversionError):
        if not args.src.is_dir():
            raise ConversionError(f'--src {args.src}', ['is no folder: give the one that the dataset was unpacked to'])
        if args.out.resolve() == args.src.resolve():
            raise ConversionError(f'--out {args.out}', ['is --src: give another folder, the source stays as it is'])
        chosen = {
            key: str(value) if isinstance(value, Path) else value
            for key, value in vars(args).items()
            if key not in NOT_RECORDED
        }
        with Conversion(args.name, args.out, chosen, progress=not args.no_progress) as conversion:
            CONVERTERS[args.name].convert(args.src, conversion, args)
    for what, number in conversion.counts.items():
        print(f'{what}: {number:,}')
    print(f'checksums of {len(conversion.files):,} files: {args.out / CHECKSUMS}')


if __name__ == '__main__':
    main()
