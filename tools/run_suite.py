"""Train and test a folder of configs at equal budget, several seeds each, and compare them: one table.

python tools/run_suite.py configs/lsms/ablations --data phantom --budget 2min --seeds 3 --out work_dirs/suites/ablations
python tools/run_suite.py configs/phantom/lsms-xs_phantom_96x96.py configs/phantom/unet-c16_phantom_96x96.py
                          --budget 800it --seeds 0,7,9 --out work_dirs/suites/peers

The same command goes on where it was stopped; of a finished suite it makes the table anew. docs/suites.md says how.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from mmseg_textseg.apis.cli import plain_errors
from mmseg_textseg.apis.suite import DATA, Suite, find_rows, parse_budget, parse_seeds, run
from mmseg_textseg.apis.suite.record import parse_options


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', metavar='CONFIG|FOLDER', help='config files, and folders of them')
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        '--data',
        metavar='NAME',
        help=f"run each row over its method's config for other data: {', '.join(DATA)}; that config itself is the row "
        '"full", the reference',
    )
    where.add_argument('--base', metavar='CONFIG', help='run each row over this config, which is the row "full"')
    parser.add_argument('--budget', required=True, help='of each run: 800it, 5ep, 90s, 2min, 1h')
    parser.add_argument('--seeds', default='1', help='how many (3: 0, 1, 2) or which (0,7,9); default: 1')
    parser.add_argument('--out', required=True, type=Path, metavar='DIR', help='folder of the suite')
    parser.add_argument(
        '--validations',
        type=int,
        default=1,
        metavar='N',
        help='how many a training, the last at its end (1). With 1 the last checkpoint is tested, with more the best '
        'by Dice',
    )
    parser.add_argument('--jobs', type=int, default=1, metavar='N', help='runs at a time (1)')
    parser.add_argument('--threads', type=int, metavar='N', help='of torch in each run; default: as torch chooses')
    parser.add_argument('--redo', action='store_true', help='make anew what another config has made in --out')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='override config values of all rows'
    )
    args = parser.parse_args(argv)
    for name in ('validations', 'jobs', 'threads'):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f'--{name} is {value}; expected 1 or more')
    return args


def main() -> None:
    args = parse_args()
    os.environ['HF_HUB_OFFLINE'] = '1'
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # kill stops it as Ctrl-C does
    with plain_errors(ImportError):
        parse_options(args.cfg_options)
        suite = Suite(
            rows=find_rows(args.configs, args.data, args.base),
            out=args.out.resolve(),
            budget=parse_budget(args.budget),
            seeds=parse_seeds(args.seeds),
            validations=args.validations,
            options=args.cfg_options,
            threads=args.threads,
            jobs=args.jobs,
            redo=args.redo,
        )
        from mmseg_textseg.apis.suite import report
        from mmseg_textseg.evaluation import comparison  # noqa: F401  (hours before it is needed: the extra eval)

        try:
            lines = run(suite, say=lambda text: print(text, flush=True))
            text, whole = report.write_all(lines, suite)
        except KeyboardInterrupt:
            print('\nstopped; the same command goes on from here', file=sys.stderr)
            sys.exit(130)
    print(f'\n{text}\nwritten to {suite.out}: suite.md, suite.csv, suite.json, dice.png, iou.png')
    if not whole:
        sys.exit(1)


if __name__ == '__main__':
    main()
