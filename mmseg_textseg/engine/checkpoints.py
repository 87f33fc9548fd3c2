"""Checkpoints of which a whole one is always there."""

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

LAST = 'last_checkpoint'
PART = '.part'


class _RemovalsLater:
    """A file backend that keeps what it is told to remove."""

    def __init__(self, backend) -> None:
        self.backend = backend
        self.waiting: list[tuple] = []

    def __getattr__(self, name: str):
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        self.waiting.append((self.backend.remove, path))

    def rmtree(self, path: str) -> None:
        self.waiting.append((self.backend.rmtree, path))


@HOOKS.register_module()
class WholeCheckpointHook(CheckpointHook):
    """mmengine's, but a checkpoint that is to be removed goes after the new one is written, not before.

    With ``max_keep_ckpts=1`` a full disk, or a process killed while it saves, would leave none otherwise. The disk
    needs room for one checkpoint more. :class:`TextSegRunner` puts it in the place of a ``CheckpointHook``.
    """

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        with self._removals_later():
            super()._save_checkpoint_with_step(runner, step, meta)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        with self._removals_later():
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _removals_later(self) -> Iterator[None]:
        backend = self.file_backend
        if isinstance(backend, _RemovalsLater):  # the best checkpoint saves the last one anew
            yield
            return
        self.file_backend = later = _RemovalsLater(backend)
        try:
            yield
        finally:
            self.file_backend = backend
        # A best one can have the name of the best one before it: by epoch, where the training counts iterations.
        best = {getattr(self, 'best_ckpt_path', None), *getattr(self, 'best_ckpt_path_dict', {}).values()}
        for remove, path in later.waiting:
            if path not in best and backend.exists(path):
                remove(path)


@contextmanager
def whole_checkpoint(path: Path) -> Iterator[str]:
    """Name of a file to write a checkpoint to, which becomes ``path`` when the block ends without an error.

    Raises:
        OSError: of the block, as where the disk is full; says that the checkpoints before are whole.
    """
    part = path.with_name(path.name + PART)
    try:
        yield part.name
        with part.open('rb+') as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise OSError(
            error.errno,
            f'could not save a checkpoint ({error.strerror or error}); those saved before are whole: make room or '
            'lower default_hooks.checkpoint.max_keep_ckpts, and go on with --resume',
            str(path),
        ) from error
    finally:
        part.unlink(missing_ok=True)


def is_whole(path: Path) -> bool:
    """Whether a file has all of torch's zip archive, each part with the checksum that it was written with."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError):
        return False


def find_whole_checkpoint(work_dir: str | os.PathLike) -> str | None:
    """The checkpoint from which a training is gone on with: the last one saved that is whole.

    The one that ``last_checkpoint`` names, wherever the folder was moved to, or else the newest of the folder that has
    the state of an optimizer (``best_*`` has none). One in a store elsewhere (``s3://...``) is taken as it is named.

    Returns:
        Its path; None where there is no checkpoint at all.

    Raises:
        OSError: there are checkpoints, none of them whole.
    """
    folder = Path(work_dir)
    named = folder / LAST
    files = [path for path in folder.glob('*.pth') if not path.name.startswith('best_')]
    files.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    if named.is_file() and (text := named.read_text(encoding='utf-8', errors='replace').strip()):
        if '://' in text:
            return text
        files = [Path(text) if Path(text).is_file() else folder / Path(text).name, *files]
    for path in files:
        if is_whole(path):
            return str(path)
    if files:
        raise OSError(
            f'{folder}: none of its checkpoints is whole ({", ".join(sorted({path.name for path in files}))}): remove '
            'them and start anew, or put a copy of one there'
        )
    return None
