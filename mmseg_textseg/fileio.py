"""Files that are there whole or not at all, and what tells one from another."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import cv2
import numpy as np


@contextmanager
def whole_file(path: Path, mode: str = 'w', **kwargs) -> Iterator[IO]:
    """Open a file that takes its name only when the block ends without an error.

    Args:
        path: final name; its folder is made.
        mode: ``'w'`` or ``'wb'``.
        **kwargs: of ``open``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may write the same name, as where a padded sampler gives one item to both.
    part = path.with_name(f'{path.name}.{os.getpid()}.part')
    try:
        with part.open(mode, **kwargs) as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write (H, W) or (H, W, 3) BGR uint8 as PNG.

    Raises:
        OSError: it could not be encoded or written.
    """
    try:
        done, data = cv2.imencode('.png', picture)
    except cv2.error as error:
        raise OSError(f'could not encode {path}: shape {picture.shape}, {picture.dtype}') from error
    if not done:
        raise OSError(f'could not encode {path}')
    with whole_file(Path(path), 'wb') as file:
        file.write(data.tobytes())


def sha256(path: str | os.PathLike) -> str | None:
    """Of a file, in hexadecimal digits; None for one that is elsewhere (a URL)."""
    if not os.path.isfile(path):
        return None
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
