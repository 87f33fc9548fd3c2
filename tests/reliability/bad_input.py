"""What a case of bad input is, and what the cases share. The page docs/reliability.md lists them."""

import contextlib
import io
import runpy
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest

from mmseg_textseg.apis import TextSegInferencer
from mmseg_textseg.datasets import TextSegDataset

ROOT = Path(__file__).resolve().parents[2]


class Place(NamedTuple):
    """Where a case is made.

    Attributes:
        folder: an empty folder.
        config: config file of a tiny model.
        checkpoint: its weights.
        data: the phantom that it reads; read only.
        patch: is undone after the case.
    """

    folder: Path
    config: str
    checkpoint: str
    data: Path
    patch: pytest.MonkeyPatch


class Case(NamedTuple):
    """Bad or odd input, and what becomes of it.

    Attributes:
        wrong: what is wrong, as the page says it; unique.
        make: makes the input in a place; what it returns goes to ``run``.
        run: reads the input; where it ``works`` it asserts that.
        error: class of the error, SystemExit for a tool; ``None`` where it works.
        said: what its message says, in this order: file, row or key; what was expected; the mend.
        works: what becomes of input that is used.
    """

    wrong: str
    make: Callable[[Place], Any]
    run: Callable[[Any], Any]
    error: type[BaseException] | None = None
    said: tuple[str, ...] = ()
    works: str = ''


def text_file(name: str, content: str | bytes = '') -> Callable[[Place], str]:
    """A ``make`` that writes one file."""

    def make(place: Place) -> str:
        path = place.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return make


def write(path: Path, values: np.ndarray) -> Path:
    """A picture file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), values)
    return path


def noise(height: int = 64, width: int = 64, channels: int = 3) -> np.ndarray:
    """A picture whose file is long enough to be cut."""
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


def cut(path: Path, share: float = 0.5) -> Path:
    """Keep the beginning of a file only."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def rows(folder: Path, image: str, mask: str | None = None) -> Path:
    """Write a table of one row over the folders img and mask."""
    header, row = ('image,mask', f'{image},{mask}') if mask else ('image', image)
    (folder / 't.csv').write_text(f'{header},expression\n{row},the lesion\n')
    return folder


def dataset(folder: Path, pipeline: list[dict], **options) -> TextSegDataset:
    """The dataset of such a table, with masks if there are any."""
    prefix = dict(img_path='img', seg_map_path='mask') if (folder / 'mask').is_dir() else dict(img_path='img')
    return TextSegDataset('t.csv', data_root=str(folder), data_prefix=prefix, pipeline=pipeline, **options)


@cache
def inferencer(config: str, checkpoint: str) -> TextSegInferencer:
    """The tiny model, built once."""
    return TextSegInferencer(config, checkpoint, 'cpu')


@cache
def _tool(name: str) -> dict:
    return runpy.run_path(str(ROOT / 'tools' / f'{name}.py'))


def call(name: str, *argv, replaced: dict | None = None) -> None:
    """A tool's ``main`` in this process; SystemExit holds what a user would see.

    Args:
        name: of the script.
        *argv: its arguments.
        replaced: what stands in for names that the script imports.

    Raises:
        SystemExit: with the message, also that of argparse or of a ``main`` that returns its status.
    """
    told, before = io.StringIO(), sys.argv
    main = _tool(name)['main']
    names = main.__globals__
    own = {key: names[key] for key in replaced or {}}
    names.update(replaced or {})
    sys.argv = [f'tools/{name}.py', *map(str, argv)]
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
            status = main()
    except SystemExit as stop:
        raise SystemExit(stop.code if isinstance(stop.code, str) else told.getvalue()) from None
    finally:
        sys.argv = before
        names.update(own)
    if status:
        raise SystemExit(told.getvalue())
