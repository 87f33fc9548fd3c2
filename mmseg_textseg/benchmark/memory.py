"""Peak memory of a call: of its tensors, exactly, and of the process, in a fresh one.

``python -m mmseg_textseg.benchmark.memory REQUEST`` is that process; the request is json: ``case`` and ``options`` as
in :func:`mmseg_textseg.benchmark.cases.groups`, ``group``, ``contender``, ``threads``.
"""

import ctypes
import gc
import json
import subprocess
import sys
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import torch
from torch.autograd.profiler import profile

from .group import Group

STATUS, RESET = Path('/proc/self/status'), Path('/proc/self/clear_refs')


def tensor_peak(call: Callable[[], object]) -> int:
    """Bytes by which the live allocations of torch's CPU allocator exceed, at most, those at the start of the call.

    The allocator reports each allocation and release to the profiler, scratch of kernels among them. Not seen are what
    threads of a kernel allocate for themselves, and the release of what was there before: a step of training should
    end without gradients.
    """
    gc.collect()
    with profile(profile_memory=True) as found:
        call()
    events = [e for e in found.kineto_results.events() if e.name() == '[memory]' and e.device_type().name == 'CPU']
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate((event.nbytes() for event in events), initial=0))


def process_peak(call: Callable[[], object]) -> int:
    """Bytes by which the resident memory of this process exceeds, at most, that at the start of the call. Linux.

    Meaningful in a process that has not done much else: what an allocator has kept from before hides growth.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    RESET.write_text('5')  # the peak becomes what is resident now: proc(5)
    start = _status('VmRSS')
    call()
    return max(0, _status('VmHWM') - start)


def _status(key: str) -> int:
    lines = STATUS.read_text(encoding='utf-8').splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f'{key}:'))


def process_peak_of(case: str, options: dict, group: Group, contender: str) -> int:
    """:func:`process_peak` of a contender's second call, in a new process that builds the group again.

    The first call makes what stays, as an optimizer's state and the kernels of oneDNN.

    Raises:
        RuntimeError: the process failed; with its last lines.
        OSError: no Linux.
    """
    if not RESET.exists():
        raise OSError(f'{RESET} is not there: memory of the process is measured on Linux alone; leave --memory out')
    threads = torch.get_num_threads()
    request = dict(case=case, options=options, group=group.name, contender=contender, threads=threads)
    command = [sys.executable, '-m', __name__, json.dumps(request)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = '\n'.join(done.stderr.strip().splitlines()[-5:])
        raise RuntimeError(f'{group.name}, {contender}: its process ended with {done.returncode}: {lines}')
    return int(done.stdout.split()[-1])


def main() -> None:
    from .cases import groups, prepare

    request = json.loads(sys.argv[1])
    prepare(request['threads'], request['options'].get('keep_memory', False))
    for group in groups(request['case'], request['options']):
        if group.name == request['group']:
            call = group.contenders[request['contender']]
            call()
            print(process_peak(call))
            return
        del group  # before the next one is built
    raise KeyError(f'case {request["case"]} has no group {request["group"]}')


if __name__ == '__main__':
    main()
