"""Show what enters the network: pictures after resizing and augmentation, outlines of masks, sentences as tokens.

python tools/browse_dataset.py CONFIG --out DIR [--split train] [--number 12] [--repeats 4] [--seed 0]

Writes DIR/page_000.png, ... . Unknown words are orange with what they stand for, words cut from sentences that are too
long grey and struck. The same seed gives the same pages.
"""

import argparse
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from mmseg.registry import DATASETS

from mmseg_textseg.apis import ConfigError, load_config
from mmseg_textseg.apis.cli import KeyValues, plain_errors, require
from mmseg_textseg.apis.config import find
from mmseg_textseg.fileio import write_png
from mmseg_textseg.tokenization import TextTokenizer, load_tokenizer
from mmseg_textseg.visualization import network_picture, read_tokens
from mmseg_textseg.visualization.pipeline_sheet import pages, sample_cell


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Show what enters the network')
    parser.add_argument('config', help='config file')
    parser.add_argument('--out', required=True, type=Path, metavar='DIR', help='folder of the pages')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train', help='dataloader (train)')
    parser.add_argument('--number', type=int, default=12, help='of items, drawn at random (12)')
    parser.add_argument('--repeats', type=int, default=1, help='times that each item goes through the pipeline (1)')
    parser.add_argument('--seed', type=int, default=0, help='of the items and of the augmentation (0)')
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues, metavar='KEY=VALUE', help='as in tools/train.py')
    args = parser.parse_args()
    if args.number < 1 or args.repeats < 1 or args.seed < 0:
        parser.error('--number and --repeats want at least 1, --seed at least 0')
    return args


def build(cfg: Config, split: str):
    """Dataset and tokenizer of a split; no tokenizer where the pipeline has none."""
    dataloader = cfg.get(f'{split}_dataloader')
    if dataloader is None:
        with_data = [s for s in ('train', 'val', 'test') if cfg.get(f'{s}_dataloader') is not None]
        raise ConfigError(f'the config has no {split}_dataloader; --split can be {", ".join(with_data)}')
    require(cfg, (split,), weights=False)
    init_default_scope('mmseg')
    step = next(find(dataloader, type='TokenizeText'), None)
    return DATASETS.build(dataloader.dataset), None if step is None else load_tokenizer(step.tokenizer)


def draw(packed: dict, tokenizer: TextTokenizer | None, channel_order: str) -> np.ndarray:
    """The cell of one packed sample."""
    sample, inputs = packed['data_samples'], packed['inputs']
    views = inputs if isinstance(inputs, list) else [inputs]
    text = sample.metainfo.get('text')
    tokens = read_tokens(tokenizer, sample.text_ids, text) if tokenizer is not None and 'text_ids' in sample else []
    mask = sample.gt_sem_seg.data.squeeze(0).numpy() if 'gt_sem_seg' in sample else None
    name = sample.metainfo.get('sample_id') or Path(sample.metainfo.get('img_path', '')).stem
    pictures = [network_picture(dict(inputs=view), channel_order) for view in views]
    return sample_cell(pictures, mask, name, text, tokens)


def main() -> None:
    args = parse_args()
    # Transforms say what is wrong with a file in errors of these kinds.
    with plain_errors(ValueError, KeyError):
        cfg = load_config(args.config, args.cfg_options)
        dataset, tokenizer = build(cfg, args.split)
        order = 'rgb' if (cfg.model.get('data_preprocessor') or {}).get('rgb_to_bgr') else 'bgr'
        chosen = np.random.default_rng(args.seed).permutation(len(dataset))[: args.number]
        cells = []
        for index in sorted(chosen.tolist()):
            for turn in range(args.repeats):
                # Of its own, so that an item looks the same whatever was drawn before it.
                set_random_seed((args.seed * 1_000_003 + index * 1009 + turn) % 2**32)
                cells.append(draw(dataset[index], tokenizer, order))
        sheets = pages(cells, columns=2 if cells[0].shape[1] > 300 else 4)
        for number, page in enumerate(sheets):
            write_png(args.out / f'page_{number:03d}.png', page[..., ::-1])
    print(f'{args.out}: {len(cells)} pictures of {len(chosen)} of {len(dataset)} items of {args.split}')


if __name__ == '__main__':
    main()
