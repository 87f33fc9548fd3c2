"""Look a dataset over before training: every row and file of every split, what is wrong with it, the worst first.

python tools/doctor.py CONFIG [--json report.json] [--sheet samples.png]
python tools/doctor.py --root data/mine --ann train=train.csv val=val.csv test=test.csv

Exit status: 1 with errors, 0 without, 2 if the command cannot be carried out. docs/doctor.md lists the checks.
"""

import argparse
import json
import sys
from pathlib import Path

from mmengine.logging import MMLogger

from mmseg_textseg.apis import ConfigError, load_config
from mmseg_textseg.apis.cli import KeyValues
from mmseg_textseg.datasets import AnnotationError
from mmseg_textseg.doctor import as_json, as_text, config_splits, contact_sheet, examine, table_splits
from mmseg_textseg.doctor.examine import NEAR_DISTANCE
from mmseg_textseg.doctor.findings import DoctorError
from mmseg_textseg.fileio import whole_file, write_png
from mmseg_textseg.models import TextEncoderError
from mmseg_textseg.tokenization import TokenizerError


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?', help='config file; or --root and --ann')
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues, metavar='KEY=VALUE', help='as in tools/test.py')
    parser.add_argument('--root', help='folder of a dataset without a config')
    parser.add_argument('--ann', nargs='+', metavar='SPLIT=TABLE', help='its tables, relative to --root')
    parser.add_argument('--type', default='TextSegDataset', help='its dataset class (default: TextSegDataset)')
    parser.add_argument(
        '--data-options',
        nargs='+',
        action=KeyValues,
        metavar='KEY=VALUE',
        help='options of the class, e.g. data_prefix.img_path=img prompt=p6 (default folders: images, masks)',
    )
    parser.add_argument('--case-column', help='column that names the case (default: case_id, patient_id, ...)')
    parser.add_argument(
        '--near-distance',
        type=int,
        default=NEAR_DISTANCE,
        metavar='BITS',
        help=f'of 64, 0 to 16, in which perceptual hashes of near images may differ ({NEAR_DISTANCE}); -1: no check',
    )
    parser.add_argument(
        '--examples', type=int, default=3, metavar='N', help='shown of each finding (3); --json has all'
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the report with all examples')
    parser.add_argument('--sheet', type=Path, metavar='FILE.png', help='draw samples with mask and sentence')
    parser.add_argument('--sheet-samples', type=int, default=24, metavar='N', help='on the sheet (24)')
    parser.add_argument('--workers', type=int, help='processes (default: all cores)')
    args = parser.parse_args(argv)
    if (args.config is None) == (args.root is None):
        parser.error('give a config, or --root with --ann')
    if (args.root is None) != (args.ann is None):
        parser.error('--root and --ann go together')
    if args.config is not None and (args.data_options or args.type != 'TextSegDataset'):
        parser.error('--type and --data-options go with --root; with a config use --cfg-options')
    if args.root is not None and args.cfg_options:
        parser.error('--cfg-options go with a config; with --root use --data-options')
    args.tables = [tuple(item.partition('=')[::2]) for item in args.ann or ()]
    if not all(name and table for name, table in args.tables):
        parser.error('--ann wants SPLIT=TABLE, e.g. train=train.csv')
    if args.workers is not None and args.workers < 1:
        parser.error(f'--workers is {args.workers}; expected at least 1')
    if not -1 <= args.near_distance <= 16:
        parser.error(f'--near-distance is {args.near_distance}; expected 0 to 16, or -1')
    if args.sheet is not None and args.sheet.suffix.lower() != '.png':
        parser.error(f'--sheet must end in .png, got {args.sheet}')
    if args.sheet_samples < 1 or args.examples < 0:
        parser.error('--sheet-samples wants at least 1, --examples at least 0')
    return args


def main() -> int:
    args = parse_args()
    MMLogger.get_instance('doctor', log_level='ERROR')  # what datasets log about themselves is in the report
    try:
        if args.config is not None:
            splits, title = config_splits(load_config(args.config, args.cfg_options, build_vocab=False)), args.config
        else:
            splits, title = table_splits(args.root, args.tables, args.type, args.data_options), args.root
        near = None if args.near_distance < 0 else args.near_distance
        found = examine(splits, workers=args.workers, near_distance=near, case_column=args.case_column)
    except (ConfigError, AnnotationError, TextEncoderError, TokenizerError, DoctorError, ImportError) as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        return 2
    print(as_text(found, title, args.examples))
    try:
        if args.json is not None:
            with whole_file(args.json, encoding='utf-8') as file:
                json.dump(as_json(found, title), file, indent=1, ensure_ascii=False)
        if args.sheet is not None:
            write_png(args.sheet, contact_sheet(found, args.sheet_samples)[..., ::-1])
    except (OSError, ValueError) as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        return 2
    return int(found.failed)


if __name__ == '__main__':
    sys.exit(main())
