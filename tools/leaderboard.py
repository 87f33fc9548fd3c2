"""Compare runs of tools/test.py --out on the same samples: one table, with intervals and tests.

python tools/leaderboard.py results/lsms results/unet Shuffled=results/lsms_shuffled --out leaderboard
python tools/leaderboard.py results --metrics dice iou pooled_iou --reference lsms

A folder is a run, or holds several below it; a run is called by its folder, or NAME in NAME=DIR. --out DIR writes
DIR/leaderboard.md, .csv, .html and .json and a box plot a metric, DIR/<metric>.png. docs/leaderboard.md says how.
"""

import argparse
import json
from pathlib import Path

from mmseg_textseg.apis.cli import plain_errors
from mmseg_textseg.fileio import whole_file

CORRECTIONS = (
    'holm',
    'bonferroni',
    'sidak',
    'holm-sidak',
    'simes-hochberg',
    'hommel',
    'fdr_bh',
    'fdr_by',
    'none',
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', metavar='[NAME=]DIR', help='folders of tools/test.py --out, or above them')
    parser.add_argument('--out', type=Path, metavar='DIR', help='where to write; default: the table is only printed')
    parser.add_argument(
        '--metrics', nargs='+', default=['dice', 'iou'], metavar='NAME', help='the first one ranks (dice iou)'
    )
    parser.add_argument('--lower', nargs='+', default=[], metavar='NAME', help='metrics that are good when small')
    parser.add_argument(
        '--reference', metavar='RUN', help='compare with this run (default: the best by the first metric)'
    )
    parser.add_argument(
        '--group',
        default='image',
        metavar='BY',
        help='what is drawn and tested as one: image (default), item, another column, or COLUMN:REGEX, e.g. '
        "'image:^case\\d+' for all slices of a case",
    )
    parser.add_argument(
        '--test', choices=['t-test', 'wilcoxon'], default='t-test', help='which gives the stars (t-test)'
    )
    parser.add_argument(
        '--correction', choices=CORRECTIONS, default='holm', help='of p, for several comparisons (holm)'
    )
    parser.add_argument('--confidence', type=float, default=0.95, metavar='SHARE', help='of the intervals (0.95)')
    parser.add_argument('--resamples', type=int, default=9999, metavar='N', help='of the bootstrap (9999)')
    parser.add_argument('--seed', type=int, default=0, help='of the bootstrap (0)')
    parser.add_argument(
        '--other-text', action='store_true', help='runs may differ in their sentences, as with another prompt'
    )
    parser.add_argument(
        '--average-seeds',
        action='store_true',
        help='runs called NAME/seed0, NAME/seed1, ... are one, NAME: each item has the mean of its scores',
    )
    args = parser.parse_args(argv)
    if not 0 < args.confidence < 1:
        parser.error(f'--confidence is {args.confidence}; expected a share between 0 and 1, as 0.95')
    if args.resamples < 100:
        parser.error(f'--resamples is {args.resamples}; expected at least 100')
    if args.seed < 0:
        parser.error(f'--seed is {args.seed}; expected 0 or more')
    return args


def main() -> None:
    args = parse_args()
    with plain_errors(ImportError):
        from mmseg_textseg.evaluation import comparison

        with plain_errors(comparison.LeaderboardError):
            runs = comparison.read_runs(comparison.find_runs(args.runs))
            board = comparison.compare(
                comparison.group_seeds(runs) if args.average_seeds else runs,
                comparison.Options(
                    metrics=tuple(args.metrics),
                    reference=args.reference,
                    group=args.group,
                    test=args.test,
                    correction=args.correction,
                    confidence=args.confidence,
                    resamples=args.resamples,
                    seed=args.seed,
                    lower=tuple(args.lower),
                    other_text=args.other_text,
                ),
            )
            text = comparison.as_markdown(board)
            print(text)
            if args.out is not None:
                write(board, text, args.out)


def write(board, text: str, folder: Path) -> None:
    """All files of --out."""
    from mmseg_textseg.evaluation import comparison

    shown = [m for m in board.measures if any(len(one.scores) for one in board.results[m.name].values())]
    plots = {m.name: comparison.box_plot(board, m) for m in shown}
    for name, picture in plots.items():
        with whole_file(folder / f'{name}.png', 'wb') as file:
            file.write(picture)
    with whole_file(folder / 'leaderboard.md', encoding='utf-8') as file:
        file.write(text)
    with whole_file(folder / 'leaderboard.csv', encoding='utf-8', newline='') as file:
        comparison.write_csv(board, file)
    with whole_file(folder / 'leaderboard.json', encoding='utf-8') as file:
        json.dump(comparison.as_json(board), file, indent=1, ensure_ascii=False, allow_nan=False)
    with whole_file(folder / 'leaderboard.html', encoding='utf-8') as file:
        file.write(comparison.as_html(board, plots))
    print(f'written to {folder}: leaderboard.md, .csv, .json, .html; {", ".join(f"{name}.png" for name in plots)}')


if __name__ == '__main__':
    main()
