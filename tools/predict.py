"""Segment one picture by one sentence.

python tools/predict.py CONFIG CHECKPOINT --image FILE --text "the largest lesion" --out mask.png

Writes the mask (0 / 255, the picture's own size) to --out, and beside it <name>_overlay.png with the sentence.
"""

import argparse
from pathlib import Path

import cv2
from mmengine.config import DictAction

from mmseg_textseg.apis import ConfigError, TextSegInferencer, load_config
from mmseg_textseg.apis.cli import plain_errors
from mmseg_textseg.fileio import write_png
from mmseg_textseg.visualization import overlay, with_caption


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Segment one picture by one sentence')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--image', required=True, type=Path, help='picture')
    parser.add_argument('--text', required=True, help='sentence')
    parser.add_argument('--out', required=True, type=Path, help='mask to write, a .png')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='as in tools/test.py')
    parser.add_argument('--device', help='default: an accelerator if there is one')
    args = parser.parse_args()
    if args.out.suffix.lower() != '.png':
        parser.error(f'--out must end in .png, got {args.out}')
    return args


def main() -> None:
    args = parse_args()
    with plain_errors(ValueError):
        picture = cv2.imread(str(args.image), cv2.IMREAD_COLOR) if args.image.is_file() else None
        if picture is None:
            what = 'not a picture that OpenCV reads' if args.image.exists() else 'not there'
            raise ConfigError(f'--image {args.image} is {what}')
        cfg = load_config(args.config, args.cfg_options, args.checkpoint)
        segment = TextSegInferencer(cfg, args.checkpoint, args.device)
        result = segment(str(args.image), args.text)
        write_png(args.out, result.mask.astype('uint8') * 255)
        drawn = with_caption(overlay(picture[..., ::-1].copy(), result.mask), args.text)
        beside = args.out.with_name(f'{args.out.stem}_overlay.png')
        write_png(beside, drawn[..., ::-1])
    share = 100 * result.mask.mean()
    print(f'{args.out}: {int(result.mask.sum())} pixels ({share:.2f} % of the picture); {beside}')


if __name__ == '__main__':
    main()
