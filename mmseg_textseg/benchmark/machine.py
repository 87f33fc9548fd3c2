"""What the machine can do at best: the yardstick of everything else."""

import os
import platform
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from ..apis.suite.costs import clock, count_flops

# Sides of square products; (channels, side of the map) of convolutions, as in stages of LSMS-B at 480 x 480.
GEMM_SIDES = (512, 1024, 2048, 3072)
CONV_SHAPES = ((64, 120), (128, 60), (320, 30), (512, 60))


def describe() -> dict:
    """Processor, threads, versions, and how busy the machine is."""
    return dict(
        processor=_processor(),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        python=platform.python_version(),
        load=os.getloadavg()[0] if hasattr(os, 'getloadavg') else None,
    )


def _processor() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')), platform.machine())


def peaks(
    gemm_sides: Sequence[int] = GEMM_SIDES,
    conv_shapes: Sequence[tuple[int, int]] = CONV_SHAPES,
    repeats: int = 8,
) -> dict[str, float]:
    """GFLOP/s of float32 at torch's number of threads: the best call of all sizes.

    Args:
        gemm_sides: of square matrices.
        conv_shapes: channels, in and out, and side of channels-last maps of batch 1.
        repeats: calls a size, after one that is not counted.

    Returns:
        ``gemm``, ``conv3x3``, ``conv1x1``.
    """
    calls = {'gemm': [], 'conv3x3': [], 'conv1x1': []}
    for side in gemm_sides:
        a, b = torch.randn(2, side, side)
        calls['gemm'].append(partial(torch.mm, a, b))
    for channels, side in conv_shapes:
        x = torch.randn(1, channels, side, side).contiguous(memory_format=torch.channels_last)
        for kernel in (3, 1):
            weight = torch.randn(channels, channels, kernel, kernel).contiguous(memory_format=torch.channels_last)
            calls[f'conv{kernel}x{kernel}'].append(partial(F.conv2d, x, weight, padding=kernel // 2))
    with torch.no_grad():
        return {name: max(_rate(call, repeats) for call in those) for name, those in calls.items()}


def _rate(call, repeats: int) -> float:
    flops = count_flops(call).get_total_flops()
    return flops / min(clock(call) for _ in range(repeats)) / 1e9
