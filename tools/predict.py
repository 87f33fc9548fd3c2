"""Segment one picture by one sentence, or a folder of pictures by a table of sentences.

python tools/predict.py CONFIG CHECKPOINT --image FILE --text "the largest lesion" --out mask.png
python tools/predict.py CONFIG CHECKPOINT --images DIR --texts rows.csv --out DIR [--overlays] [--probabilities]
python tools/predict.py CONFIG CHECKPOINT --images DIR --text "the largest lesion" --out DIR

One picture: the mask (0 and 255, the picture's own size) goes to --out, and beside it <name>_overlay.png with the
sentence. A folder: masks/, and on request overlays/ and probabilities/, then predictions.csv. docs/inference.md
"""

import argparse
from pathlib import Path

from tqdm import tqdm

from mmseg_textseg.apis import ConfigError, TextSegInferencer, find_model, load_config
from mmseg_textseg.apis.cli import KeyValues, plain_errors
from mmseg_textseg.apis.folder import captioned, check_pictures, rows_of_folder, rows_of_table, write_answers
from mmseg_textseg.engine import keep_freed_memory
from mmseg_textseg.fileio import write_png
from mmseg_textseg.models.fusing import FusingError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Segment pictures by sentences')
    parser.add_argument('config', help='config file, or the name of a model')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file; of a model in model-index.yml it is known')
    pictures = parser.add_mutually_exclusive_group(required=True)
    pictures.add_argument('--image', type=Path, help='picture, NIfTI, DICOM, or the folder of a DICOM series')
    pictures.add_argument('--images', type=Path, metavar='DIR', help='folder of them')
    texts = parser.add_mutually_exclusive_group()
    texts.add_argument('--text', help='sentence; a text-free model needs none')
    texts.add_argument(
        '--texts', metavar='FILE', help='table with columns image and expression (csv, xlsx, json, jsonl)'
    )
    parser.add_argument('--out', required=True, type=Path, help='mask to write, a .png; with --images a folder')
    parser.add_argument('--overlays', action='store_true', help='with --images: write the masks over the pictures too')
    parser.add_argument('--probabilities', action='store_true', help='with --images: write them too, 16-bit PNG')
    parser.add_argument('--threshold', type=float, help="probability of the foreground; default: the model's decision")
    parser.add_argument('--batch-size', type=int, default=8, help='sentences in one pass of the model')
    parser.add_argument('--slice', type=int, help='of a volume, from 0; the column slice of --texts goes before it')
    parser.add_argument(
        '--window', nargs='+', help='for CT, MRI, 16 bits: liver | 30,150 | p0.5,p99.5 | dicom; 3 for RGB'
    )
    parser.add_argument(
        '--load', nargs='+', action=KeyValues, default={}, metavar='KEY=VALUE', help='more options of LoadMedicalImage'
    )
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues, metavar='KEY=VALUE', help='as in tools/test.py')
    parser.add_argument('--device', help='default: an accelerator if there is one')
    parser.add_argument('--text-int8', action='store_true', help='text encoder in int8, on a CPU: faster, less exact')
    parser.add_argument(
        '--fuse', action='store_true', help='fold batch norms into convolutions: faster, the same but for rounding'
    )
    args = parser.parse_args()
    if args.image and args.out.suffix.lower() != '.png':
        parser.error(f'--out must end in .png, got {args.out}')
    if args.image and (args.texts or args.overlays or args.probabilities):
        parser.error('--texts, --overlays and --probabilities go with --images')
    return args


def one_picture(args: argparse.Namespace, segment: TextSegInferencer, options: dict) -> str:
    answer = segment(str(args.image), args.text, slice=args.slice, **options)
    write_png(args.out, answer.mask.astype('uint8') * 255)
    beside = args.out.with_name(f'{args.out.stem}_overlay.png')
    write_png(beside, captioned(answer)[..., ::-1])
    area = '' if answer.area_mm2 is None else f', {answer.area_mm2:.1f} mm²'
    return f'{args.out}: {answer.mask.sum()} pixels ({answer.mask.mean():.2%} of the picture{area}); {beside}'


def folder(args: argparse.Namespace, segment: TextSegInferencer, rows: list, options: dict) -> str:
    loading = {key: value for key, value in options.items() if key not in ('batch_size', 'threshold')}
    check_pictures(segment, rows, **loading)
    kinds = dict(overlays=args.overlays, probabilities=args.probabilities)
    answers = write_answers(segment, rows, args.out, str(args.images), **kinds, **options)
    empty = sum(not answer.mask.any() for answer in tqdm(answers, total=len(rows), disable=None))
    return f'{args.out / "predictions.csv"}: {len(rows)} masks, {empty} of them empty'


def main() -> None:
    args = parse_args()
    keep_freed_memory()
    window = args.window[0] if args.window and len(args.window) == 1 else args.window
    options = dict(threshold=args.threshold, batch_size=args.batch_size, window=window, **args.load)
    with plain_errors(ValueError, ImportError, FusingError):
        # What a user can mistype is read before the model, which takes seconds.
        if args.image and not args.image.exists():
            raise ConfigError(f'--image {args.image} is not there')
        if args.images and args.out.is_file():
            raise ConfigError(f'--out {args.out} is a file: with --images give a folder')
        if args.texts:
            rows = rows_of_table(str(args.images), args.texts, args.slice)
        elif args.images:
            rows = rows_of_folder(str(args.images), args.text, args.slice)
        config, checkpoint = find_model(args.config, args.checkpoint)
        cfg = load_config(config, args.cfg_options, checkpoint)
        segment = TextSegInferencer(cfg, checkpoint, args.device, args.text_int8, args.fuse)
        if not segment.text_free and args.text is None and args.texts is None:
            raise ConfigError('this model needs a sentence: give --text or --texts')
        print(one_picture(args, segment, options) if args.image else folder(args, segment, rows, options))


if __name__ == '__main__':
    main()
