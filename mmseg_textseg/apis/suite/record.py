"""What a suite keeps of its rows and runs, and whether that is still of the same configs."""

import argparse
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config, DictAction

from ...fileio import whole_file
from ..config import ConfigError

# Set by the suite: as options they would undo it.
SET_BY_SUITE = ('train_cfg', 'param_scheduler', 'randomness', 'work_dir', 'resume', 'default_hooks.checkpoint')
SHOWN = 3


class ChangedError(ConfigError):
    """A folder holds what another config made."""


def parse_options(words: Sequence[str]) -> dict:
    """``KEY=VALUE`` of ``--cfg-options`` as MMSegmentation's tools read them.

    Raises:
        ConfigError: no ``KEY=VALUE``, or a key that the suite sets.
    """
    wrong = [word for word in words if '=' not in word]
    if wrong:
        raise ConfigError(f'--cfg-options {wrong[0]}: expected KEY=VALUE')
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='*', action=DictAction)
    options = parser.parse_args(['--cfg-options', *words]).cfg_options or {}
    taken = [key for key in options for own in SET_BY_SUITE if key == own or key.startswith(f'{own}.')]
    if taken:
        raise ConfigError(
            f'--cfg-options {taken[0]}: a suite sets it for all rows, by --budget, --seeds, --validations'
        )
    return options


def options_of(cfg: Config, words: Sequence[str]) -> list[str]:
    """Options that concern a config: those of a text encoder do not reach a text-free model."""
    if cfg.model.get('text_encoder') is not None:
        return list(words)
    return [word for word in words if not word.startswith('model.text_encoder.')]


def flat_config(cfg: Config) -> dict[str, str]:
    """Every value of a config under its whole key: what decides whether two runs are the same."""
    return _flat(cfg.to_dict())


def _flat(node: object, prefix: str = '') -> dict[str, str]:
    if isinstance(node, dict) and node:
        items = node.items()
    elif isinstance(node, list | tuple) and node:
        items = enumerate(node)
    else:
        return {prefix[:-1]: repr(node)}
    return {name: text for key, value in items for name, text in _flat(value, f'{prefix}{key}.').items()}


def digest(flat: dict[str, str]) -> str:
    """sha256 of a flat config."""
    return hashlib.sha256(json.dumps(flat, sort_keys=True).encode()).hexdigest()


def differences(old: dict[str, str], new: dict[str, str]) -> str:
    """The first keys in which two flat configs differ: ``'optim_wrapper.optimizer.lr: 0.001 -> 0.01'``."""
    keys = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
    told = [f'{key}: {old.get(key, "absent")} -> {new.get(key, "absent")}' for key in keys[:SHOWN]]
    return '; '.join(told) + (f'; and {len(keys) - SHOWN} more' if len(keys) > SHOWN else '')


def read(path: Path) -> dict | None:
    """A record; None where there is none."""
    return json.loads(path.read_text(encoding='utf-8')) if path.is_file() else None


def write(path: Path, record: dict) -> None:
    """A record, whole or not at all."""
    with whole_file(path, encoding='utf-8') as file:
        json.dump(record, file, indent=1, ensure_ascii=False)


def same_or_redo(path: Path, name: str, config: dict[str, str], redo: bool) -> dict | None:
    """The record of a folder where it is of this config.

    Args:
        path: the record; its folder is the row's or run's.
        name: of the row or run.
        config: flat.
        redo: empty the folder of another config.

    Returns:
        The record; None where there is none, or no longer.

    Raises:
        ChangedError: it is of another config, and ``redo`` is not asked for.
    """
    record = read(path)
    if record is None or record['config'] == config:
        return record
    if not redo:
        raise ChangedError(
            f'{name} in {path.parent} was made with another config ({differences(record["config"], config)}): --redo '
            'makes it anew, another --out keeps both'
        )
    shutil.rmtree(path.parent)
    return None
