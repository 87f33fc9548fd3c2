"""Train a segmentor: MMSegmentation's arguments, mmengine's Runner.

python tools/train.py configs/lsms/lsms_refhl_480x480.py [--work-dir DIR] [--resume] [--amp] [--cfg-options K=V ...]
python tools/train.py configs/mptpn/mptpn_monuseg_224x224.py --init-from CHECKPOINT_OF_STAGE_1
"""

import argparse
import sys

from mmengine.device import get_device
from mmengine.model import is_model_wrapper
from mmseg.models import EncoderDecoder
from mmseg.registry import RUNNERS

from mmseg_textseg.apis import ConfigError, init_from, load_config
from mmseg_textseg.apis.cli import add_common_arguments, apply_common, find_work_dir, plain_errors, require
from mmseg_textseg.apis.config import read_config
from mmseg_textseg.engine import NonFiniteError, find_whole_checkpoint, keep_freed_memory
from mmseg_textseg.models import TextEncoderDecoder, check_mix


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a segmentor')
    parser.add_argument('config', help='config file')
    add_common_arguments(parser)
    parser.add_argument('--resume', action='store_true', help='go on from the latest checkpoint of the work dir')
    parser.add_argument('--amp', action='store_true', help='mixed precision (bfloat16 on a CPU)')
    parser.add_argument(
        '--init-from',
        metavar='CHECKPOINT',
        help="start backbone and text encoder from another run's checkpoint, e.g. stage 1 of MPTPN",
    )
    return parser.parse_args()


def enable_amp(cfg) -> None:
    """Swap the optimizer wrapper; mmengine's own AMP wrapper exists for accelerators only."""
    if cfg.optim_wrapper.type in ('AmpOptimWrapper', 'BFloat16OptimWrapper'):
        return
    if cfg.optim_wrapper.type != 'OptimWrapper':
        raise ConfigError(f'--amp needs optim_wrapper.type OptimWrapper, the config has {cfg.optim_wrapper.type}')
    if get_device() in ('cuda', 'npu', 'mlu', 'musa'):
        cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    else:
        cfg.optim_wrapper.type = 'BFloat16OptimWrapper'


def main() -> None:
    args = parse_args()
    keep_freed_memory()
    with plain_errors(NonFiniteError):
        start = args.init_from
        last = None
        if args.resume:
            last = find_whole_checkpoint(find_work_dir(read_config(args.config, args.cfg_options), args))
            # mmengine loads initial weights before it resumes: the checkpoint's own, not those of the first start.
            start = last or start
        cfg = load_config(args.config, args.cfg_options, checkpoint=start)
        if start:
            init_from(cfg, start)
        apply_common(cfg, args)
        require(cfg, ('train', 'val'), weights=True)
        cfg.resume = args.resume
        if last and 'load_from' not in (args.cfg_options or {}):
            cfg.load_from = last  # the config's own is where the first start began
        if args.amp:
            enable_amp(cfg)
        cfg.setdefault('runner_type', 'TextSegRunner')
        runner = RUNNERS.build(cfg)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        # The stock class says nothing when it is built; ours does.
        if isinstance(model, EncoderDecoder) and not isinstance(model, TextEncoderDecoder):
            check_mix(model)
        try:
            runner.train()
        except AssertionError as error:
            if 'epoch_length' not in str(error):
                raise
            raise ConfigError(
                'an epoch has no batch: with drop_last=True train_dataloader.batch_size must not be more than the '
                'images; lower it'
            ) from error
        except KeyboardInterrupt:
            sys.exit(f'stopped after {runner.iter} iterations; --resume goes on from the last checkpoint')


if __name__ == '__main__':
    main()
