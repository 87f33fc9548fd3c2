"""Evaluate a checkpoint: MMSegmentation's arguments, mmengine's Runner.

python tools/test.py CONFIG CHECKPOINT --out DIR [--protocol lvit ris ...] [--evaluate-at network] [--save-masks]
                                       [--shuffle-text | --partial-text 0.5] [--tta] [--fuse] [--text-int8]

--out DIR writes DIR/per_sample.csv, with --save-masks DIR/masks/* and, last of all, DIR/metrics.json: docs/metrics.md
"""

import argparse
import copy
import hashlib
import platform
import sys
from pathlib import Path

import mmcv
import mmengine
import mmseg
import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.datasets.transforms import PackSegInputs

import mmseg_textseg
from mmseg_textseg.apis import ConfigError, load_config
from mmseg_textseg.apis.cli import add_common_arguments, apply_common, plain_errors, require
from mmseg_textseg.apis.config import checkpoint_weights, find, innermost
from mmseg_textseg.datasets.medical import MedicalImageError
from mmseg_textseg.engine import keep_freed_memory
from mmseg_textseg.evaluation import PROTOCOLS, EvaluationError
from mmseg_textseg.evaluation.boundaries import load_monai
from mmseg_textseg.fileio import sha256
from mmseg_textseg.models.fusing import FusingError, fuse
from mmseg_textseg.models.layers import match_weights
from mmseg_textseg.models.text_encoders import quantize_text_encoder

PACKING = ('PackTextSegInputs', 'PackSegInputs')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Evaluate a segmentor')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    add_common_arguments(parser)
    parser.add_argument('--out', metavar='DIR', help='write metrics.json and per_sample.csv there')
    parser.add_argument('--save-masks', action='store_true', help='write the predicted masks too (needs --out)')
    parser.add_argument(
        '--protocol',
        nargs='+',
        choices=list(PROTOCOLS),
        metavar='NAME',
        help=f'which values, instead of those of the config: {", ".join(PROTOCOLS)} (docs/metrics.md)',
    )
    parser.add_argument(
        '--evaluate-at',
        choices=['original', 'network'],
        help="size at which masks are compared: the picture's own, or that of the network's input; default: as the "
        'config says, which is original unless its pipeline has EvaluateAtNetworkSize',
    )
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
        help='test-time augmentation, where the config has tta_pipeline; where sentences name sides, flips need '
        'SwapDirectionWords',
    )
    parser.add_argument(
        '--fuse', action='store_true', help='fold batch norms into convolutions: faster, the same but for rounding'
    )
    parser.add_argument('--text-int8', action='store_true', help='text encoder in int8, on a CPU: faster, less exact')
    args = parser.parse_args()
    if args.save_masks and not args.out:
        parser.error('--save-masks needs --out DIR')
    if args.evaluate_at == 'network' and args.save_masks:
        parser.error('--save-masks writes masks of the original size: leave it or --evaluate-at network out')
    if args.evaluate_at == 'network' and args.tta:
        parser.error('--evaluate-at network: the views of --tta may be of several sizes: leave one of them out')
    return args


class RewriteHook(Hook):
    """Tests another form of the model. Last, since other hooks (EMA's) may put weights into the model before a test.

    Args:
        fused: with batch norms folded into convolutions.
        text_int8: with the text encoder's linear layers in 8-bit integers.
    """

    priority = 'LOWEST'

    def __init__(self, fused: bool, text_int8: bool):
        self.fused, self.text_int8 = fused, text_int8

    def before_test_epoch(self, runner: Runner) -> None:
        """Put the new form in the place of the model, which may be in wrappers."""
        wrapper, model = None, runner.model
        while hasattr(model, 'module'):
            wrapper, model = model, model.module
        # A copy: other hooks know the model as it was.
        model = fuse(model) if self.fused else copy.deepcopy(model)
        if self.text_int8:
            quantize_text_encoder(model.text_encoder)
        if wrapper is None:
            runner.model = model
        else:
            wrapper.module = model


def _partial(text: str) -> float | list[str]:
    try:
        return float(text)
    except ValueError:
        return text.split(',')


def our_metric(cfg: Config, needed_by: str) -> ConfigDict:
    """The config of the first TextSegMetric.

    Raises:
        ConfigError: there is none; ``needed_by`` is the option that needs it.
    """
    ours = list(find(cfg.test_evaluator, type='TextSegMetric'))
    if not ours:
        raise ConfigError(f'{needed_by} needs a TextSegMetric among test_evaluator')
    return ours[0]


def packing_step(pipeline: list, needed_by: str) -> int:
    """Index of the step that packs.

    Raises:
        ConfigError: there is none.
    """
    found = [i for i, step in enumerate(pipeline) if step['type'] in PACKING]
    if not found:
        raise ConfigError(f'{needed_by} needs a pipeline with {" or ".join(PACKING)}')
    return found[0]


def set_size(datasets: list[ConfigDict], size: str) -> None:
    """Put EvaluateAtNetworkSize into the pipelines, or take it out."""
    for dataset in datasets:
        dataset.pipeline = [step for step in dataset.pipeline if step['type'] != 'EvaluateAtNetworkSize']
        if size == 'network':
            place = packing_step(dataset.pipeline, '--evaluate-at network')
            dataset.pipeline.insert(place, dict(type='EvaluateAtNetworkSize'))


def use_tta(cfg: Config, datasets: list[ConfigDict], path: str) -> None:
    """Test-time augmentation instead of the pipelines and the model.

    Raises:
        ConfigError: the config has none, or a threshold that it cannot be evaluated with.
    """
    absent = [key for key in ('tta_model', 'tta_pipeline') if key not in cfg]
    if absent:
        raise ConfigError(f'{path} has no {" and no ".join(absent)} for --tta: docs/pretraining.md')
    if any(metric.get('threshold') is not None for metric in find(cfg.test_evaluator, type='TextSegMetric')):
        raise ConfigError('--tta averages decisions of its own: leave threshold out of test_evaluator')
    for dataset in datasets:
        dataset.pipeline = cfg.tta_pipeline
    cfg.model = {**cfg.tta_model, 'module': cfg.model}


def keep_slice_views(pipeline: list) -> None:
    """Let samples tell which slice of a volume they are, so that masks can be put back into it; also in TTA."""
    for step in pipeline:
        steps = step if isinstance(step, list) else [step]
        for one in steps:
            if one['type'] in PACKING:
                keys = one.get('meta_keys') or PackSegInputs().meta_keys
                one['meta_keys'] = tuple(dict.fromkeys([*keys, 'slice_view']))
            elif 'transforms' in one:
                keep_slice_views(one['transforms'])


def versions(metric: ConfigDict) -> dict[str, str]:
    modules = [torch, mmengine, mmcv, mmseg, mmseg_textseg, np]
    if 'boundary' in metric.get('protocol', ()):
        load_monai()
        modules.append(sys.modules['monai'])
    return {'python': platform.python_version(), **{module.__name__: module.__version__ for module in modules}}


def main() -> None:
    args = parse_args()
    keep_freed_memory()
    with plain_errors(EvaluationError, FusingError, ImportError, MedicalImageError):
        if args.out and Path(args.out).is_file():
            raise ConfigError(f'--out {args.out} is a file: give a folder')
        if args.text_int8 and get_device() != 'cpu':
            raise ConfigError('--text-int8 is for a CPU: set CUDA_VISIBLE_DEVICES= to test on it, or leave it out')
        cfg = load_config(args.config, args.cfg_options, checkpoint=args.checkpoint)
        if cfg.get('test_dataloader') is None:
            raise ConfigError(f'{args.config} has no test_dataloader: a pretraining makes no masks to evaluate')
        datasets = list(innermost(cfg.test_dataloader.dataset))
        if args.shuffle_text:
            for dataset in datasets:
                dataset.shuffle_text = True
        if args.partial_text is not None:
            for dataset in datasets:
                # The config's own wording and fields stay.
                options = dataset.get('partial_text')
                options = options if isinstance(options, dict) else {}
                dataset.partial_text = {**options, 'keep': args.partial_text, 'drop': None}
        if args.protocol:
            our_metric(cfg, '--protocol').protocol = args.protocol
        if args.evaluate_at:
            set_size(datasets, args.evaluate_at)
        if args.tta:
            use_tta(cfg, datasets, args.config)
        # Before anything that says where, not what: the same evaluation has the same hash everywhere.
        text = cfg.pretty_text if args.out else ''
        apply_common(cfg, args, sub='test')
        require(cfg, ('test',), weights=False)
        cfg.load_from = args.checkpoint
        if args.save_masks:
            for dataset in datasets:
                keep_slice_views(dataset.pipeline)
        if args.out:
            metric = our_metric(cfg, '--out')
            metric.output_dir = args.out
            metric.save_masks = args.save_masks
            metric.info = dict(
                name=Path(args.config).stem,
                config=dict(path=args.config, sha256=hashlib.sha256(text.encode()).hexdigest()),
                checkpoint=dict(path=args.checkpoint, sha256=sha256(args.checkpoint)),
                conditions=dict(
                    shuffled_text=all(dataset.get('shuffle_text', False) for dataset in datasets),
                    partial_text=args.partial_text,
                    tta=args.tta,
                    network_size=any(find(cfg.test_dataloader.dataset, type='EvaluateAtNetworkSize')),
                    int8_encoder=args.text_int8,  # a key with 'text' in it would be a change of the sentences
                ),
                fused=args.fuse,
                versions=versions(metric),
            )
        runner = Runner.from_cfg(cfg)
        model = runner.model
        while hasattr(model, 'module'):  # DDP's and test-time augmentation's wrappers
            model = model.module
        if args.text_int8 and getattr(model, 'text_encoder', None) is None:
            raise ConfigError('--text-int8 is for models with a text encoder; this one has none')
        # The Runner itself would go on with random weights where the checkpoint does not fit.
        match_weights(model, checkpoint_weights(args.checkpoint), args.checkpoint)
        if args.fuse or args.text_int8:
            runner.register_hook(RewriteHook(args.fuse, args.text_int8))
        runner.test()


if __name__ == '__main__':
    main()
