"""Folders that are there whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .programs import FILES

ABOUT, SCRIPT, TOKENIZER = 'export.json', 'predict.py', 'tokenizer.json'
# Of weights beyond 2 GB there is a second file.
OURS = (ABOUT, SCRIPT, TOKENIZER, *FILES.values(), f'{FILES["onnx"]}.data')


def check_folder(out: Path, overwrite: bool) -> None:
    """Refuse a folder that holds something.

    Raises:
        FileExistsError: it is a file, or not empty and ``overwrite`` was not asked for.
    """
    if out.exists() and not out.is_dir():
        raise FileExistsError(f'{out} is a file; give a folder')
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise FileExistsError(
            f'{out} is not empty: choose another folder, or pass --overwrite (overwrite=True), which replaces the '
            'files of an export there and leaves others alone'
        )


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write to, whose files become those of ``out`` when the block ends without an error.

    Files of an earlier export in ``out`` are replaced or removed; ``export.json`` goes first and comes last.
    """
    part = out.with_name(f'{out.name}.{os.getpid()}.part')
    part.mkdir(parents=True)
    try:
        yield part
        if not out.exists():
            part.rename(out)
            return
        (out / ABOUT).unlink(missing_ok=True)
        for name in OURS:
            (out / name).unlink(missing_ok=True)
        for file in sorted(part.iterdir(), key=lambda file: file.name == ABOUT):
            file.replace(out / file.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
