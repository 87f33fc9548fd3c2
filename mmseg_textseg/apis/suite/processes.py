"""Children of a suite: each with a log, all of them ended with it, and one suite in a folder at a time."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from ..config import ConfigError

PATIENCE = 30  # seconds that an ended child has to finish its iteration and save
LOOK = 0.5  # seconds between looks at a child's memory


class Stopped(Exception):
    """The suite was stopped while, or before, a child ran."""


class Ended(NamedTuple):
    """How a child ended: exit status, seconds, peak resident memory in MB (0: the system does not tell)."""

    code: int
    seconds: float
    memory: int


class Children:
    """Runs Python scripts in processes of their own.

    Args:
        lock: descriptor that every child holds open, see :func:`only_one`.
        threads: of torch in each; None: as it chooses.
    """

    def __init__(self, lock: int, threads: int | None = None):
        self.lock, self.running, self.stopped = lock, set(), threading.Event()
        self.guard = threading.Lock()
        self.environment = {**os.environ, 'HF_HUB_OFFLINE': '1', 'PYTHONUNBUFFERED': '1'}
        if threads is not None:
            self.environment.update(dict.fromkeys(('OMP_NUM_THREADS', 'MKL_NUM_THREADS'), str(threads)))

    def run(self, command: Sequence[str], log: Path) -> Ended:
        """Run ``python <command>``; what it prints is appended to a log.

        Raises:
            Stopped: :meth:`stop` ended it, or was called before.
        """
        start = time.monotonic()
        with log.open('ab') as file:
            file.write(f'\n$ python {" ".join(command)}\n'.encode())
            file.flush()
            with self.guard:
                if self.stopped.is_set():
                    raise Stopped
                # A session of its own: Ctrl-C reaches the suite alone, which then ends it with its workers.
                child = subprocess.Popen(
                    [sys.executable, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env=self.environment,
                    start_new_session=True,
                    pass_fds=(self.lock,),
                )
                self.running.add(child)
        memory = 0
        while child.returncode is None:
            memory = max(memory, _peak_memory(child.pid))
            with suppress(subprocess.TimeoutExpired):
                child.wait(LOOK)
        with self.guard:
            self.running.discard(child)
        if self.stopped.is_set():
            raise Stopped
        return Ended(child.returncode, time.monotonic() - start, memory)

    def stop(self) -> None:
        """End all children, and let none start any more."""
        with self.guard:
            self.stopped.set()
        for how in (signal.SIGTERM, signal.SIGKILL):
            with self.guard:
                for child in self.running:
                    with suppress(ProcessLookupError):
                        os.killpg(child.pid, how)
            end = time.monotonic() + PATIENCE
            while self.running and time.monotonic() < end:
                time.sleep(0.05)


@contextmanager
def only_one(folder: Path) -> Iterator[int]:
    """Hold a folder for one suite, and for the children of one that was killed until they end.

    Yields:
        Descriptor of the lock; whoever has it open holds the folder.

    Raises:
        ConfigError: somebody else holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / '.lock', os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f'{folder} is in use by another suite, or by a training that a killed one has left: wait for it, or '
                'end it, or choose another --out'
            ) from error
        yield lock
    finally:
        os.close(lock)


def last_lines(log: Path, most: int = 12) -> list[str]:
    """The end of a log."""
    if not log.is_file():
        return []
    return [line.rstrip() for line in log.read_text(encoding='utf-8', errors='replace').splitlines() if line.strip()][
        -most:
    ]


def _peak_memory(process: int) -> int:
    """Of a process so far, in MB. getrusage would count what its parent had when it was forked."""
    try:
        status = Path(f'/proc/{process}/status').read_text(encoding='utf-8')
    except OSError:
        return 0
    found = re.search(r'^VmHWM:\s*(\d+) kB', status, re.MULTILINE)
    return int(found[1]) // 1024 if found else 0
