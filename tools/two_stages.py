"""MPTPN from nothing: contrastive pretraining, segmentation from its weights, evaluation, and the same without stage 1.

python tools/two_stages.py configs/phantom/ppe-simsiam-c8_phantom_96x96.py configs/phantom/mptpn-c8_phantom_96x96.py
                           [--work-dir DIR] [--control] [--options KEY=VALUE ...]      (or: make mptpn-demo)

Prints one table; writes DIR/summary.json. A finished step is not repeated: delete DIR to start anew.
"""

import argparse
import json
from pathlib import Path

from _steps import ROOT, make_easy_phantom, read_scores, run, train_once
from mmengine.config import Config
from prettytable import PrettyTable

# Column -> protocol of the metric.
FIGURES = {'dice': 'lvit', 'iou': 'lvit', **dict.fromkeys(('miou', 'acc', 'precision', 'recall'), 'two-class')}


def read_log(work_dir: Path) -> list[dict]:
    """Logged scalars of the last training in a work dir, in order."""
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    lines = files[-1].read_text(encoding='utf-8').splitlines() if files else []
    return [json.loads(line) for line in lines]


def evaluate(config: str, checkpoint: str, work_dir: Path, options: list[str], shuffle: bool = False) -> dict:
    """Test; metrics.json."""
    out = work_dir / ('shuffled_text' if shuffle else 'right_text')
    control = ['--shuffle-text'] if shuffle else []
    # The folder is of one run (train_once), and metrics.json the last file that a test writes.
    if not (out / 'metrics.json').is_file():
        run('tools/test.py', config, checkpoint, '--work-dir', str(work_dir), '--out', str(out), *control, *options)
    return read_scores(out)[0]


def from_random(config: str) -> list[str]:
    """Options that take stage 1's weights away from a config of stage 2."""
    model = Config.fromfile(config).model
    options = ['model.backbone.init_cfg=None']
    if model.backbone.get('frozen') is not None:
        options.append('model.backbone.frozen=False')
    return options if model.get('text_encoder') is None else [*options, 'model.text_encoder.init_cfg=None']


def cfg_options(options: list[str]) -> list[str]:
    return ['--cfg-options', *options] if options else []


def main() -> None:
    parser = argparse.ArgumentParser(description='Stage 1, then stage 2 from its checkpoint')
    parser.add_argument('stage1', help='config of the contrastive pretraining')
    parser.add_argument('stage2', help='config of the segmentation')
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/two_stages/<name of stage 2>')
    parser.add_argument('--control', action='store_true', help='train stage 2 from random weights too, as long')
    parser.add_argument('--phantom', metavar='DIR', help='make the phantom of the demos there first')
    parser.add_argument('--options', nargs='+', default=[], metavar='KEY=VALUE', help='--cfg-options of every step')
    args = parser.parse_args()
    # The tools run at the repository's root.
    for key in ('stage1', 'stage2'):
        path = Path(getattr(args, key))
        setattr(args, key, str(path.resolve()) if path.is_file() else str(path))
    out = (args.work_dir or ROOT / 'work_dirs' / 'two_stages' / Path(args.stage2).stem).resolve()
    if args.phantom:
        make_easy_phantom(args.phantom)
    shared = cfg_options(args.options)
    seconds = {}
    first, seconds['stage1'] = train_once(args.stage1, out / 'stage1', *shared)
    second, seconds['stage2'] = train_once(args.stage2, out / 'stage2', '--init-from', first, *shared)
    scores = {'from stage 1': evaluate(args.stage2, second, out / 'stage2', shared)}
    scores['from stage 1, shuffled sentences'] = evaluate(args.stage2, second, out / 'stage2', shared, shuffle=True)
    if args.control:
        options = cfg_options([*args.options, *from_random(args.stage2)])
        third, seconds['control'] = train_once(args.stage2, out / 'control', *options)
        scores['from random weights'] = evaluate(args.stage2, third, out / 'control', shared)
    log = [row for row in read_log(out / 'stage1') if 'loss_simsiam' in row]
    table = PrettyTable(['stage 2', *FIGURES])
    for name, score in scores.items():
        found = [score['protocols'][protocol][key] for key, protocol in FIGURES.items()]
        table.add_row([name, *('-' if value is None else f'{100 * value:.2f}' for value in found)])
    ends = {key: (log[0][key], log[-1][key]) for key in log[0] if key.startswith(('loss_', 'spread_'))} if log else {}
    summary = dict(stage1=ends, stage2=scores, seconds={key: round(value, 1) for key, value in seconds.items()})
    (out / 'summary.json').write_text(json.dumps(summary, indent=2), encoding='utf-8')
    print('\nstage 1, first and last logged:', ', '.join(f'{k} {a:.3f} -> {b:.3f}' for k, (a, b) in ends.items()))
    print(table)
    print(', '.join(f'{key} {value:.0f} s' for key, value in seconds.items()))
    print(f'figures:  {out / "summary.json"}\nweights:  {second}')


if __name__ == '__main__':
    main()
