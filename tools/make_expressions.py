"""Make referring expressions from masks: a dataset with sentences, each of which fits what its mask shows.

python tools/make_expressions.py --images DIR --masks DIR --style refhl --out DIR
python tools/make_expressions.py --ann DIR/train.jsonl DIR/test.jsonl --root DIR --organs DIR/organs --out DIR

Attributes, margins and the template file: docs/expressions.md. Writes nowhere but --out; a run that was stopped goes
on where it was.
"""

import argparse
import hashlib
import json
from pathlib import Path

from mmseg_textseg.apis.cli import KeyValues, plain_errors
from mmseg_textseg.datasets.converters import Conversion, ConversionError
from mmseg_textseg.datasets.converters.conversion import CHECKSUMS
from mmseg_textseg.datasets.expressions import (
    TemplateError,
    from_folders,
    from_table,
    load_template,
    word_shares,
    write_expressions,
)

SHOWN = 5  # expressions printed in the end


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_argument_group('what to read: two folders, or tables')
    source.add_argument('--images', metavar='DIR', help='folder of the images (with --ann: default ROOT/images)')
    source.add_argument('--masks', metavar='DIR', help='folder of the masks, named like the images (ROOT/masks)')
    source.add_argument('--split', default='train', metavar='NAME', help='table to write for two folders (train)')
    source.add_argument('--ann', nargs='+', default=[], metavar='TABLE', help='annotation tables, one a split')
    source.add_argument('--root', metavar='DIR', help='folder of images/ and masks/ (default: that of the table)')
    source.add_argument('--organs', metavar='DIR', help='folder of organ masks, named like the images')
    source.add_argument('--organ-labels', action='store_true', help='organ masks hold the numbers of segments')
    source.add_argument('--instances', action='store_true', help='masks hold instance ids, not components')
    source.add_argument('--mask-threshold', type=float, default=1, metavar='V', help='least foreground value (1)')
    source.add_argument('--spacing', type=float, metavar='MM', help='mm a pixel (default: column spacing_mm, if any)')
    made = parser.add_argument_group('what to make')
    made.add_argument('--style', default='refhl', metavar='STYLE', help='refhl, lvit, or a template file (refhl)')
    made.add_argument('--set', nargs='+', action=KeyValues, metavar='KEY=VALUE', help='entries of the template')
    made.add_argument('--min-area', type=int, default=20, metavar='PX', help='least area of a lesion, pixels (20)')
    made.add_argument('--also', nargs='+', default=[], choices=['several', 'none'], help='expressions that fit so many')
    made.add_argument('--seed', type=int, default=0, help='of what is drawn (0)')
    parser.add_argument('--out', required=True, type=Path, metavar='DIR', help='folder to write')
    parser.add_argument('--no-progress', action='store_true', help='no progress bar')
    args = parser.parse_args(argv)
    if args.ann:
        roots = [args.root or str(Path(table).parent) for table in args.ann]
        if len(set(roots)) > 1 and not (args.images and args.masks):
            parser.error('the tables of --ann lie in different folders: give --root, or --images and --masks')
        args.images, args.masks = args.images or f'{roots[0]}/images', args.masks or f'{roots[0]}/masks'
    elif not (args.images and args.masks):
        parser.error('give --images and --masks, or --ann')
    if args.organ_labels and not args.organs:
        parser.error('--organ-labels speaks of --organs, which is missing')
    if args.spacing is not None and not args.spacing > 0:
        parser.error(f'--spacing {args.spacing}: expected mm a pixel, more than 0')
    if args.seed < 0 or args.min_area < 1 or args.mask_threshold <= 0:
        parser.error('expected --seed of 0 or more, --min-area of 1 or more, --mask-threshold above 0')
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with plain_errors(ConversionError, TemplateError):
        template = load_template(args.style, args.set)
        if args.organ_labels and template['unit'] == 'picture':
            raise TemplateError(args.style, ['--organ-labels: only a template of unit lesion names segments'])
        for folder in filter(None, (args.images, args.masks, args.organs)):
            if args.out.resolve() == Path(folder).resolve():
                raise ConversionError(f'--out {args.out}', ['is a folder that is read: give another one'])
        sources = []
        for table in args.ann:
            sources += from_table(table, args.images, args.masks, args.organs, args.spacing)
        if not args.ann:
            sources = from_folders(args.images, args.masks, args.organs, args.split, args.spacing)
        options = dict(
            instances=args.instances,
            organ_labels=args.organ_labels,
            min_area=args.min_area,
            also=sorted(args.also),
            seed=args.seed,
            threshold=args.mask_threshold,
        )
        digest = hashlib.sha256(json.dumps(template).encode()).hexdigest()[:16]
        record = dict(**options, spacing=args.spacing, style=args.style, template=digest)
        with Conversion('expressions', args.out, record, progress=not args.no_progress) as conversion:
            tables = write_expressions(sources, template, conversion, **options)
    for what, number in conversion.counts.items():
        print(f'{what}: {number:,}')
    print(*word_shares(tables), sep='\n')
    for row in [row for rows in tables.values() for row in rows][:SHOWN]:
        print(f'  {row["image"]}: {row["expression"]}')
    print(f'checksums of {len(conversion.files):,} files: {args.out / CHECKSUMS}')


if __name__ == '__main__':
    main()
