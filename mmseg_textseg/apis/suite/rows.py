"""Rows of a suite: config files, as they are or over another base."""

import ast
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..config import ConfigError

ROOT = Path(__file__).resolve().parents[3]
# (Folder of the method, data) -> what its rows are run over: the size that a machine without an accelerator trains.
COUNTERPARTS = {
    ('lsms', 'phantom'): 'configs/phantom/lsms-xs_phantom_96x96.py',
    ('lsms', 'busi'): 'configs/lsms/lsms-t_busi_160x160.py',
    ('lsms', 'monuseg'): 'configs/lsms/lsms-t_monuseg_512x512.py',
    ('mptpn', 'phantom'): 'configs/phantom/mptpn-c8_phantom_96x96.py',
    ('mptpn', 'busi'): 'configs/mptpn/mptpn-c16_busi_224x224.py',
    ('mptpn', 'monuseg'): 'configs/mptpn/mptpn-c16_monuseg_224x224.py',
    ('lavt', 'phantom'): 'configs/phantom/lavt-xs_phantom_96x96.py',
    ('lavt', 'busi'): 'configs/lavt/lavt-t_busi_160x160.py',
    ('lvit', 'phantom'): 'configs/phantom/lvit-c12_phantom_96x96.py',
    ('lvit', 'busi'): 'configs/lvit/lvit-c16_busi_224x224.py',
    ('lvit', 'monuseg'): 'configs/lvit/lvit-c16_monuseg_224x224.py',
}
DATA = tuple(dict.fromkeys(data for _, data in COUNTERPARTS))
# The row of the counterpart itself.
FULL = 'full'


class Row(NamedTuple):
    """A line of the table.

    Attributes:
        name: in tables, and of its folder.
        source: the config file that was given.
        base: what it runs over instead of its own base; None: as it is.
    """

    name: str
    source: Path
    base: Path | None = None


def find_configs(paths: Sequence[str]) -> list[Path]:
    """Config files named, and those in folders named, in their order.

    Raises:
        ConfigError: no such path, no config in a folder, a file that is no config.
    """
    found = []
    for text in paths:
        path = Path(text)
        if path.is_dir():
            files = sorted(path.glob('*.py'))
            if not files:
                raise ConfigError(f'no config (*.py) in {path}')
            found += files
        elif path.suffix == '.py' and path.is_file():
            found.append(path)
        else:
            raise ConfigError(f'{path} is no config file and no folder of them')
    return list(dict.fromkeys(path.resolve() for path in found))


def find_rows(paths: Sequence[str], data: str | None = None, base: str | None = None) -> list[Row]:
    """The rows of a suite, the reference first.

    Args:
        paths: config files and folders of them.
        data: name of the data that they shall be run on, of :data:`DATA`.
        base: config that they shall be run over.

    Returns:
        With ``data`` or ``base`` that config itself, unchanged, as :data:`FULL`, then the others over it; else the
        configs as they are. A row is called by its file's name without data and size, where that tells them apart.

    Raises:
        ConfigError: unknown data, methods of several bases, a base that is not there.
    """
    configs = find_configs(paths)
    if data is not None:
        below = {counterpart(path, data) for path in configs}
        if len(below) > 1:
            raise ConfigError(
                f'--data {data}: these rows have several references ({", ".join(sorted(map(str, below)))}): one suite '
                'each, or --base CONFIG'
            )
        (under,) = below
    elif base is not None:
        under = Path(base).resolve()
    else:
        return [Row(name, path) for name, path in zip(row_names(configs), configs, strict=True)]
    if not under.is_file():
        raise ConfigError(f'no config to run the rows over at {under}')
    configs = [path for path in configs if path != under]
    for path in configs:
        others = [one for one in _bases(path) if one in configs]
        if others:
            raise ConfigError(f'{path} is over {others[0]}, another row, whose changes another base would lose')
    names = row_names(configs)
    if FULL in names:
        raise ConfigError(f'{configs[names.index(FULL)]}: a row is called {FULL!r}, as the reference: rename the file')
    return [Row(FULL, under), *(Row(name, path, under) for name, path in zip(names, configs, strict=True))]


def counterpart(path: Path, data: str) -> Path:
    """The config that a method's rows are run over on some data.

    Args:
        path: a row, in ``configs/<method>/...``.
        data: of :data:`DATA`.

    Raises:
        ConfigError: data or method that the table does not have.
    """
    parts = path.parts
    method = parts[len(parts) - parts[::-1].index('configs')] if 'configs' in parts[:-1] else path.parent.name
    if data not in DATA:
        raise ConfigError(f'--data {data}: expected one of {", ".join(DATA)}, or --base CONFIG')
    if (method, data) not in COUNTERPARTS:
        known = ', '.join(dict.fromkeys(method for method, _ in COUNTERPARTS))
        raise ConfigError(f'--data {data}: {path} is of {method}; known are {known}: give --base CONFIG')
    return ROOT / COUNTERPARTS[method, data]


def row_names(configs: Sequence[Path]) -> list[str]:
    """File names up to the first underscore (``method_dataset-size``), else whole.

    Raises:
        ConfigError: two files of one name.
    """
    whole = [path.stem for path in configs]
    short = [name.split('_')[0] for name in whole]
    names = short if len(set(short)) == len(short) and all(short) else whole
    twice = [path for path, name in zip(configs, names, strict=True) if names.count(name) > 1]
    if twice:
        raise ConfigError(f'rows of one name: {", ".join(map(str, twice))}: rename one')
    return names


def swap_base(text: str, base: str, name: str) -> str:
    """A config's text over another base; nothing else of it changes.

    Args:
        text: of the config.
        base: path of the new base, as the text shall say it.
        name: of the config, for errors.

    Raises:
        ConfigError: no base to be swapped, several, or no Python.
    """
    found = _base_lines(text, name)
    if len(found) != 1:
        raise ConfigError(f'{name} has no _base_ to be swapped: a row says what it changes of one')
    (node,) = found
    if isinstance(node.value, ast.List | ast.Tuple) and len(node.value.elts) != 1:
        raise ConfigError(f'{name} has {len(node.value.elts)} files in _base_; a row has one, which can be swapped')
    lines = text.splitlines(keepends=True)
    end = lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode()
    return ''.join([*lines[: node.lineno - 1], f'_base_ = {base!r}{end}', *lines[node.end_lineno :]])


def _base_lines(text: str, name: str) -> list[ast.Assign]:
    try:
        nodes = ast.parse(text).body
    except SyntaxError as error:
        raise ConfigError(f'{name} line {error.lineno}: {error.msg}') from error
    return [node for node in nodes if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == '_base_']


def _bases(path: Path) -> list[Path]:
    found = []
    for node in _base_lines(path.read_text(encoding='utf-8'), str(path)):
        named = ast.literal_eval(node.value)
        found += [(path.parent / one).resolve() for one in ([named] if isinstance(named, str) else named)]
    return found


def relative(base: Path, folder: Path) -> str:
    """Path of a base as a config in a folder says it."""
    return Path(os.path.relpath(base, folder.resolve())).as_posix()
