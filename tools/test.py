"""Evaluate a checkpoint: MMSegmentation's arguments, mmengine's Runner.

python tools/test.py CONFIG CHECKPOINT --out DIR [--save-masks] [--shuffle-text | --partial-text 0.5] [...]

--out DIR writes DIR/metrics.json, DIR/per_sample.csv and, with --save-masks, DIR/masks/*.png.
"""

import argparse

from mmengine.runner import Runner

from mmseg_textseg.apis import ConfigError, load_config
from mmseg_textseg.apis.cli import add_common_arguments, apply_common, plain_errors, require
from mmseg_textseg.apis.config import checkpoint_weights, innermost
from mmseg_textseg.models.layers import match_weights


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Evaluate a segmentor')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    add_common_arguments(parser)
    parser.add_argument('--out', metavar='DIR', help='write metrics.json and per_sample.csv there')
    parser.add_argument('--save-masks', action='store_true', help='write the predicted masks too (needs --out)')
    parser.add_argument('--shuffle-text', action='store_true', help="control: each image gets another image's sentence")
    parser.add_argument(
        '--partial-text',
        type=_partial,
        metavar='KEEP',
        help='sentences say only a share (0.25, 0.5) or some attributes (segment,shape) of what they said',
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test-time augmentation, where the config has tta_pipeline; no flips where sentences name sides',
    )
    args = parser.parse_args()
    if args.save_masks and not args.out:
        parser.error('--save-masks needs --out DIR')
    return args


def _partial(text: str) -> float | list[str]:
    try:
        return float(text)
    except ValueError:
        return text.split(',')


def main() -> None:
    args = parse_args()
    with plain_errors():
        cfg = load_config(args.config, args.cfg_options, checkpoint=args.checkpoint)
        if cfg.get('test_dataloader') is None:
            raise ConfigError(f'{args.config} has no test_dataloader: a pretraining makes no masks to evaluate')
        apply_common(cfg, args, sub='test')
        require(cfg, ('test',), weights=False)
        cfg.load_from = args.checkpoint
        datasets = list(innermost(cfg.test_dataloader.dataset))
        if args.shuffle_text:
            for dataset in datasets:
                dataset.shuffle_text = True
        if args.partial_text is not None:
            for dataset in datasets:
                dataset.partial_text = args.partial_text
        if args.tta:
            absent = [key for key in ('tta_model', 'tta_pipeline') if key not in cfg]
            if absent:
                raise ConfigError(f'{args.config} has no {" and no ".join(absent)} for --tta: docs/pretraining.md')
            for dataset in datasets:
                dataset.pipeline = cfg.tta_pipeline
            cfg.model = {**cfg.tta_model, 'module': cfg.model}
        if args.out:
            evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
            ours = [e for e in evaluators if e.type == 'TextSegMetric']
            if not ours:
                raise ConfigError('--out needs a TextSegMetric among test_evaluator')
            ours[0].output_dir = args.out
            ours[0].save_masks = args.save_masks
            ours[0].info = dict(
                config=args.config,
                checkpoint=args.checkpoint,
                shuffled_text=all(d.get('shuffle_text', False) for d in datasets),
                partial_text=args.partial_text,
                tta=args.tta,
            )
        runner = Runner.from_cfg(cfg)
        # The Runner itself would go on with random weights where the checkpoint does not fit.
        model = runner.model
        while hasattr(model, 'module'):  # DDP's and test-time augmentation's wrappers
            model = model.module
        match_weights(model, checkpoint_weights(args.checkpoint), args.checkpoint)
        runner.test()


if __name__ == '__main__':
    main()
