"""Export a trained model to ONNX, or to torch.export's .pt2, and prove it equal to the segmentor.

python tools/export.py CONFIG CHECKPOINT --out DIR [--format torch] [--size 224 224 | --dynamic-size] [...]

Writes DIR/model.onnx, DIR/tokenizer.json, DIR/export.json and DIR/predict.py, which uses them without MMSegmentation
and without torch: docs/export.md
"""

import argparse
from pathlib import Path

from mmseg_textseg.apis import load_config
from mmseg_textseg.apis.cli import KeyValues, plain_errors
from mmseg_textseg.export import TOLERANCE, ExportError, export


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', required=True, type=Path, metavar='DIR', help='folder to write: new or empty')
    parser.add_argument('--format', choices=['onnx', 'torch'], default='onnx', help='default: onnx')
    parser.add_argument(
        '--size', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'), help='of pictures; default: that of the test pipeline'
    )
    parser.add_argument(
        '--dynamic-size', action='store_true', help='height and width free, multiples of what the model pads to'
    )
    parser.add_argument('--opset', type=int, help="operator set of ONNX, 18 or later; default: the exporter's")
    parser.add_argument(
        '--tolerance',
        type=float,
        default=TOLERANCE,
        help=f'largest difference of a probability allowed ({TOLERANCE:g})',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace an export in DIR; other files there stay')
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues, metavar='KEY=VALUE', help='as in tools/test.py')
    args = parser.parse_args()
    if args.opset is not None and args.format != 'onnx':
        parser.error('--opset belongs to --format onnx')
    if args.opset is not None and args.opset < 18:
        parser.error(f'--opset must be at least 18, got {args.opset}')
    if not 0 < args.tolerance < 1:
        parser.error(f'--tolerance must be between 0 and 1, got {args.tolerance}')
    return args


def main() -> None:
    args = parse_args()
    with plain_errors(ExportError, ImportError):
        cfg = load_config(args.config, args.cfg_options, checkpoint=args.checkpoint)
        about = export(
            cfg,
            args.checkpoint,
            args.out,
            args.format,
            args.size,
            args.dynamic_size,
            args.opset,
            args.overwrite,
            args.tolerance,
        )
    checks = about['check']
    real = sum(run['batch'] == 1 for run in checks['runs'] if run['samples'] == 'test set')
    print(
        f'{args.out / about["model"]}: {sum(f.stat().st_size for f in args.out.glob("model.*")) / 1e6:.1f} MB, inputs '
        f'{", ".join(about["inputs"])}; differs from the segmentor by at most {checks["max_difference"]:.1e} in '
        f'{len(checks["runs"])} runs, {real or "no"} items of the test set among them'
    )
    if about['other_steps']:
        print(f'not in the graph, to be done before it: {", ".join(about["other_steps"])} of the test pipeline')


if __name__ == '__main__':
    main()
