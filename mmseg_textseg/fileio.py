"""Files that are there whole or not at all, and what tells one from another."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import yaml


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
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a full disk does not say which file did not fit
            error.filename = str(path)
        raise
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


def load_plain(path: str | os.PathLike) -> Any:
    """Content of a yaml or json file: plain values. mmengine's ``load`` makes any object that a yaml file names.

    Raises:
        OSError: it cannot be opened.
        ValueError: neither yaml nor json, or broken.
    """
    ending = os.path.splitext(path)[1]
    if ending not in ('.yaml', '.yml', '.json'):
        raise ValueError(f'{path}: expected a .yaml, .yml or .json file')
    with open(path, encoding='utf-8') as file:
        try:
            return json.load(file) if ending == '.json' else yaml.safe_load(file)
        except (yaml.YAMLError, ValueError) as error:
            raise ValueError(f'{path} is broken: {error}') from error
