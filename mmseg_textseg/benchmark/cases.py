"""Which groups there are, by the name of their case."""

import inspect
import random
from collections.abc import Iterator
from importlib import import_module

import numpy as np
import torch
from mmengine.registry import init_default_scope

from ..engine import keep_freed_memory
from .group import Group

# name -> module here, function; imported when it is its turn.
CASES = {
    'encoder': ('models', 'encoder_groups'),
    'lsms': ('models', 'lsms_groups'),
    'step': ('models', 'step_groups'),
    'parts': ('parts', 'groups'),
    'text': ('text', 'groups'),
    'loading': ('loading', 'groups'),
    'mptpn': ('mptpn', 'groups'),
    'compile': ('compile', 'groups'),
    'compile-encoder': ('compile', 'encoder_groups'),
    'compile-step': ('compile', 'step_groups'),
    'configs': ('configs', 'groups'),
}


def prepare(threads: int, keep_memory: bool) -> None:
    """Settle what all groups share: threads, seeds, the scope of registries, and whether freed memory is kept."""
    if keep_memory:
        keep_freed_memory()
    torch.set_num_threads(threads)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (mmcv's transforms draw from the global state)
    torch.manual_seed(0)
    init_default_scope('mmseg')


def groups(case: str, options: dict) -> Iterator[Group]:
    """Groups of a case, each built when it is asked for.

    Args:
        case: of ``CASES``.
        options: those that the case knows are handed on: ``sizes`` (sides of images), ``batches``, ``threads``,
            ``variants``, ``configs``. Others, and None, are left to its defaults.
    """
    module, function = CASES[case]
    make = getattr(import_module(f'.{module}', __package__), function)
    known = inspect.signature(make).parameters
    yield from make(**{key: value for key, value in options.items() if key in known and value is not None})
