"""keep_freed_memory, in processes of its own: it cannot be undone."""

import os
import platform
import subprocess
import sys

import pytest

# 64 MiB allocated and freed eight times: page faults of the process, by the kernel's count.
SCRIPT = """
import resource, sys, torch
from mmseg_textseg.engine.allocator import keep_freed_memory
torch.set_num_threads(1)
kept = keep_freed_memory() if sys.argv[1] == 'keep' else None
torch.ones(1 << 24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    torch.ones(1 << 24)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(argument: str, **environment: str) -> tuple[str, int]:
    own = {k: v for k, v in os.environ.items() if not k.startswith('MALLOC_') and k not in ('LD_PRELOAD',)}
    command = [sys.executable, '-c', SCRIPT, argument]
    done = subprocess.run(command, env={**own, **environment}, capture_output=True, text=True, check=True)
    kept, faults = done.stdout.splitlines()[-1].split()
    return kept, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='another C library')
def test_freed_memory_is_not_mapped_anew():
    kept, faults = run('keep')
    assert kept == 'True'
    assert faults < run('by default')[1] / 3  # once at most, where it was eight times


def test_settings_of_the_environment_win():
    assert run('keep', MALLOC_TRIM_THRESHOLD_='131072')[0] == 'False'
