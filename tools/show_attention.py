"""Show what each word of a sentence looks at, per stage.

python tools/show_attention.py CONFIG CHECKPOINT --image FILE --text "the largest lesion" --out attention.png

For models that attend to words: SVLAEncoder (LSMS), and PPE(token_mixing='attention'). docs/visualization.md tells how
to read the picture. The whole image is looked at, also where the config slides a window.
"""

import argparse
from pathlib import Path

from mmengine.dataset import Compose

from mmseg_textseg.apis import ConfigError, TextSegInferencer, load_config
from mmseg_textseg.apis.cli import KeyValues, plain_errors
from mmseg_textseg.apis.inferencer import NEED_TRUTH
from mmseg_textseg.fileio import write_png
from mmseg_textseg.tokenization import load_tokenizer
from mmseg_textseg.visualization import attend, attention_figure, group_words, network_picture, read_tokens


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Show what each word of a sentence looks at')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--image', required=True, type=Path, help='picture, or a volume with --slice')
    parser.add_argument('--slice', type=int, help='of a CT or MRI volume, from 0')
    parser.add_argument('--text', required=True, help='sentence')
    parser.add_argument('--out', required=True, type=Path, help='picture to write, a .png')
    parser.add_argument('--special', action='store_true', help='show special tokens ([CLS], [SEP]) too')
    parser.add_argument('--columns', type=int, default=12, help='words beside one another (12)')
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues, metavar='KEY=VALUE', help='as in tools/test.py')
    parser.add_argument('--device', help='default: an accelerator if there is one')
    args = parser.parse_args()
    if args.out.suffix.lower() != '.png':
        parser.error(f'--out must end in .png, got {args.out}')
    if args.columns < 1:
        parser.error(f'--columns must be at least 1, got {args.columns}')
    if not args.text.strip():
        parser.error('--text is empty')
    return args


def main() -> None:
    args = parse_args()
    with plain_errors(ValueError):
        if not args.image.exists():
            raise ConfigError(f'--image {args.image} is not there')
        cfg = load_config(args.config, args.cfg_options, args.checkpoint)
        cfg.model.test_cfg = dict(mode='whole')
        model = TextSegInferencer(cfg, args.checkpoint, args.device).model
        pipeline = Compose([step for step in cfg.test_dataloader.dataset.pipeline if step['type'] not in NEED_TRUTH])
        attributes = {} if args.slice is None else dict(slice=args.slice)
        try:
            packed = pipeline(dict(img_path=str(args.image), text=args.text, attributes=attributes))
        except AssertionError as error:  # mmcv's word for a file that does not decode
            raise ConfigError(f'{args.image} is not a picture that can be read') from error
        attention, result = attend(model, packed)
        tokens = read_tokens(load_tokenizer(model.text_encoder.tokenizer_source), result.text_ids, args.text)
        page = attention_figure(
            network_picture(packed),
            args.text,
            group_words(tokens),
            attention,
            result.pred_sem_seg.data[0].cpu().numpy(),
            args.special,
            args.columns,
        )
        write_png(args.out, page[..., ::-1])
    cut = [token.source for token in tokens if token.kind == 'cut']
    note = f'; cut from the sentence, which is too long: {" ".join(cut)}' if cut else ''
    print(f'{args.out}: {", ".join(stage.name for stage in attention.stages)}; {len(tokens) - len(cut)} tokens{note}')


if __name__ == '__main__':
    main()
