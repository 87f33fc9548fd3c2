"""From nothing to a mask: make a phantom, train a small LSMS on it, evaluate it with right and with shuffled sentences.

python tools/demo.py [--out work_dirs/demo]      (or: make demo)

Prints one table and the path of a sheet of pictures; writes OUT/metrics.json with keys dice, iou and
dice_shuffled_text. A finished step is not repeated: delete OUT to start anew.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from _steps import ROOT, make_easy_phantom, read_scores, run, train_once
from prettytable import PrettyTable

CONFIG = 'configs/phantom/lsms-xs_phantom_96x96.py'
DATA = 'data/phantom_96'


def pick(rows: list[dict], most: int = 8) -> list[dict]:
    """Items for the sheet: sentences of a few images, spread over the range of scores, worst last."""
    by_image: dict[str, list[dict]] = {}
    for row in rows:
        by_image.setdefault(row['image'], []).append(row)
    pairs = []
    for items in by_image.values():
        # Two sentences that name two lesions of one picture show what the text does.
        first = items[0]
        other = next((r for r in items if _lesion(r) != _lesion(first)), None)
        if other:
            pairs.append((first, other))
    pairs.sort(key=lambda pair: -sum(float(r['dice']) for r in pair))
    places = np.linspace(0, len(pairs) - 1, max(1, most // 2)).round().astype(int)
    return [row for place in places for row in pairs[place]]


def _lesion(row: dict) -> str:
    """Mask name within the sample id ``<image>-<mask>-<expression>``."""
    return row['sample_id'].rsplit('-', 2)[1]


def draw_sheet(rows: list[dict], masks: Path, path: Path) -> None:
    """Image, sentence, truth, prediction of chosen items."""
    from mmseg_textseg.fileio import write_png
    from mmseg_textseg.visualization import sheet

    def grey(file: Path) -> np.ndarray:
        picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            sys.exit(f'no picture at {file}')
        return picture

    page = sheet(
        [
            (
                grey(ROOT / DATA / 'images' / row['image']),
                row['expression'],
                grey(ROOT / DATA / 'masks' / f'{_lesion(row)}.png'),
                grey(masks / f'{row["sample_id"]}.png'),
                f'(Dice {float(row["dice"]):.2f})',
            )
            for row in rows
        ]
    )
    write_png(path, page[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description='Train and evaluate a small LSMS on made-up data')
    parser.add_argument('--out', type=Path, default=ROOT / 'work_dirs' / 'demo', help='work dir of the demo')
    out = parser.parse_args().out.resolve()
    start = time.time()
    make_easy_phantom(DATA)
    made = time.time() - start
    checkpoint, trained = train_once(CONFIG, out)
    start = time.time()
    test = ['tools/test.py', CONFIG, checkpoint, '--work-dir', str(out)]
    run(*test, '--out', str(out / 'right_text'), '--save-masks')
    run(*test, '--out', str(out / 'shuffled_text'), '--shuffle-text')
    right, rows = read_scores(out / 'right_text')
    shuffled, _ = read_scores(out / 'shuffled_text')
    page = out / 'predictions.png'
    draw_sheet(pick(rows), out / 'right_text' / 'masks', page)
    means, control = right['protocols']['lvit'], shuffled['protocols']['lvit']
    summary = dict(
        dice=means['dice'],
        iou=means['iou'],
        dice_shuffled_text=control['dice'],
        iou_shuffled_text=control['iou'],
        items=right['items'],
        seconds=round(made + trained + time.time() - start, 1),
    )
    (out / 'metrics.json').write_text(json.dumps(summary, indent=2), encoding='utf-8')
    table = PrettyTable(['sentences', 'Dice', 'IoU'])
    table.add_row(['right', f'{means["dice"]:.3f}', f'{means["iou"]:.3f}'])
    table.add_row(["another image's", f'{control["dice"]:.3f}', f'{control["iou"]:.3f}'])
    print(
        f'\n{right["items"]} sentences on cases never trained on, per-image means, {summary["seconds"]:.0f} s in all:'
    )
    print(table)
    print(f'pictures: {page}\nfigures:  {out / "metrics.json"}\nweights:  {checkpoint}')


if __name__ == '__main__':
    main()
