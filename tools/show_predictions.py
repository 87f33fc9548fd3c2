"""Draw predictions: image, truth, prediction, errors, probability and the sentence, an item a picture.

python tools/show_predictions.py CONFIG CHECKPOINT --out DIR [--number 24] [--worst] [--split test]

Draws items spread evenly over the split; with --worst the whole split is predicted and those with the lowest Dice are
drawn, the worst first. Writes DIR/000_<sample_id>.png, ... .
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmseg.registry import DATASETS
from mmseg.structures import SegDataSample
from tqdm import tqdm

from mmseg_textseg.apis import ConfigError, TextSegInferencer, load_config
from mmseg_textseg.apis.cli import KeyValues, plain_errors, require
from mmseg_textseg.evaluation.overlap import count, dice, predicted_mask, to_mask
from mmseg_textseg.fileio import write_png
from mmseg_textseg.visualization import TextSegVisualizer, image_loader, load_picture


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw predictions of a segmentor')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', required=True, type=Path, metavar='DIR', help='folder of the pictures')
    parser.add_argument('--split', choices=['val', 'test'], default='test', help='dataloader (test)')
    parser.add_argument('--number', type=int, default=24, help='of pictures (24)')
    parser.add_argument('--worst', action='store_true', help='those with the lowest Dice; predicts the whole split')
    parser.add_argument('--side', type=int, default=320, help='of a picture on a panel, pixels (320)')
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues, metavar='KEY=VALUE', help='as in tools/test.py')
    parser.add_argument('--device', help='default: an accelerator if there is one')
    args = parser.parse_args()
    if args.number < 1 or args.side < 32:
        parser.error('--number wants at least 1, --side at least 32')
    return args


def predict(model: torch.nn.Module, packed: dict) -> SegDataSample:
    """The prediction of one packed sample."""
    with torch.no_grad():
        return model.test_step(pseudo_collate([packed]))[0]


def score(sample: SegDataSample) -> float:
    """Dice of a prediction, at the truth's size.

    Raises:
        ConfigError: there is no truth.
    """
    if 'gt_sem_seg' not in sample:
        raise ConfigError('--worst needs the truth: the pipeline has no LoadMask before PackTextSegInputs')
    return dice(count(predicted_mask(sample.to_dict()), to_mask(sample.gt_sem_seg.data)))


def main() -> None:
    args = parse_args()
    with plain_errors(ValueError):
        cfg = load_config(args.config, args.cfg_options, args.checkpoint)
        dataloader = cfg.get(f'{args.split}_dataloader')
        if dataloader is None:
            raise ConfigError(f'{args.config} has no {args.split}_dataloader: a pretraining makes no masks to draw')
        require(cfg, (args.split,), weights=False)
        model = TextSegInferencer(cfg, args.checkpoint, args.device).model
        dataset = DATASETS.build(dataloader.dataset)
        if args.worst:
            scores = [score(predict(model, dataset[i])) for i in tqdm(range(len(dataset)), desc='predict', leave=False)]
            chosen = np.argsort(scores, kind='stable')[: args.number]
        else:
            chosen = np.unique(np.linspace(0, len(dataset) - 1, args.number).round().astype(int))
        visualizer = TextSegVisualizer(side=args.side)
        loader = image_loader(dataset)
        for number, index in enumerate(chosen.tolist()):
            sample = predict(model, dataset[index])
            page = visualizer.draw(load_picture(sample, loader), sample)
            name = sample.metainfo.get('sample_id') or Path(sample.img_path).stem
            write_png(args.out / f'{number:03d}_{name}.png', page[..., ::-1])
    print(f'{args.out}: {len(chosen)} pictures of {len(dataset)} items of {args.split}')


if __name__ == '__main__':
    main()
