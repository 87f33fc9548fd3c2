"""What the command-line tools share."""

import argparse
import os
import os.path as osp
import sys
from contextlib import contextmanager

import torch.distributed as dist
from mmengine.config import Config, DictAction
from mmengine.device import get_device

from ..datasets import AnnotationError, PictureError
from ..engine import CollapseError
from ..evaluation import EvaluationError
from ..models import MixingError, TextEncoderError, WeightsError
from ..safe_load import CheckpointError
from ..tokenization import TokenizerError
from .build_errors import said_of_a_part
from .config import ConfigError
from .preflight import find_missing, report


class KeyValues(DictAction):
    """mmengine's KEY=VALUE words; one without ``=``, or with half a bracket, is an error of the command line."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Merge the words into a dict."""
        for word in values:
            if not word.partition('=')[0] or '=' not in word:
                raise argparse.ArgumentError(self, f'{word!r}: expected KEY=VALUE, e.g. train_cfg.max_iters=100')
        try:
            super().__call__(parser, namespace, values, option_string)
        except AssertionError as error:
            raise argparse.ArgumentError(self, f'{error}: close every bracket') from error


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """MMSegmentation's arguments of train and test."""
    parser.add_argument('--work-dir', help='where logs and checkpoints go (default: work_dirs/<config name>)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=KeyValues,
        metavar='KEY=VALUE',
        help='override config values, e.g. train_dataloader.batch_size=2 model.text_encoder.pretrained=DIR',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    # torch.distributed.launch passes it; torchrun sets the environment instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def apply_common(cfg: Config, args: argparse.Namespace, sub: str = '') -> None:
    """Put launcher and work_dir into the config: argument, then config, then the config's name.

    Args:
        cfg: changed in place.
        args: with ``config``, ``work_dir``, ``launcher`` and ``local_rank``.
        sub: folder below the work dir. The Runner writes the config there, so that a test with its own settings must
            not share the training's folder.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg.launcher = args.launcher
    if args.launcher == 'pytorch' and get_device() == 'cpu':
        _distribute_on_cpu(cfg)
    cfg.work_dir = osp.join(find_work_dir(cfg, args), sub)


def find_work_dir(cfg: Config, args: argparse.Namespace) -> str:
    """Argument, then config, then the config's name."""
    name = osp.splitext(osp.basename(args.config))[0]
    return args.work_dir or cfg.get('work_dir') or osp.join('work_dirs', name)


def _distribute_on_cpu(cfg: Config) -> None:
    """Several processes without an accelerator: mmengine's own set-up picks a CUDA device for each."""
    if not dist.is_initialized():
        dist.init_process_group('gloo')
    wrapper = dict(type='MMDistributedDataParallel', device_ids=None)
    if 'find_unused_parameters' in cfg:  # mmengine reads it where there is no model_wrapper_cfg only
        wrapper['find_unused_parameters'] = cfg.find_unused_parameters
    cfg.setdefault('model_wrapper_cfg', wrapper)


def require(cfg: Config, splits: tuple[str, ...], weights: bool) -> None:
    """Stop with a report where data or weights are missing."""
    missing = find_missing(cfg, splits, weights)
    if missing:
        sys.exit(report(missing, sys.argv))


# Errors that name what is wrong and how to mend it: a traceback would only hide that.
PLAIN = (
    ConfigError,
    AnnotationError,
    CheckpointError,
    CollapseError,
    EvaluationError,
    MixingError,
    PictureError,
    TextEncoderError,
    TokenizerError,
    WeightsError,
    OSError,
)


@contextmanager
def plain_errors(*more: type[Exception]):
    """Print ``PLAIN`` errors, ``more``, and those of parts that a config names, without a traceback; exit with 1."""
    try:
        yield
    except (*PLAIN, *more) as error:
        sys.exit(f'{type(error).__name__}: {_message(error)}')
    except Exception as error:
        said = said_of_a_part(error)
        if said is None:
            raise
        sys.exit(f'ConfigError: {said}')


def _message(error: Exception) -> str:
    """What an error says, without the traceback of a worker process that a DataLoader puts before it."""
    text = str(error)
    return text.rpartition(f'{type(error).__name__}: ')[2].strip() if 'Original Traceback' in text else text
