"""A model by its name: of a config file, or in an index of trained models."""

import os
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from ..fileio import load_plain
from .config import ConfigError

INDEX = 'model-index.yml'
_CHECKOUT = Path(__file__).resolve().parents[2]


def find_model(config: str, checkpoint: str | None = None, roots: Sequence[Path] | None = None) -> tuple[str, str]:
    """Config file and weights that are meant.

    Args:
        config: a config file; or a name of ``model-index.yml`` (OpenMMLab's format: it imports metafiles, whose
            ``Models`` have ``Name``, ``Config`` and ``Weights``); or the name of a file below ``configs``, without
            ``.py``.
        checkpoint: weights; needed unless the index names them.
        roots: folders with ``configs`` and the index; default: the one that this runs in, and the package's checkout.

    Returns:
        Two paths; of the index also URLs.

    Raises:
        ConfigError: no such model, several, or no weights known.
    """
    weights = None
    if not config.endswith('.py') and os.sep not in config and '/' not in config:
        roots = [Path.cwd(), _CHECKOUT] if roots is None else roots
        config, weights = _by_name(config, list(dict.fromkeys(root.resolve() for root in roots)))
    if checkpoint is None and weights is None:
        raise ConfigError(f'no checkpoint given for {config}: give a .pth file; {INDEX} names no weights for it')
    return config, checkpoint or weights


def _by_name(name: str, roots: list[Path]) -> tuple[str, str | None]:
    known: list[str] = []
    for root in roots:
        for model in _models(root):
            aliases = model.get('Alias') or []
            names = [model['Name'], *([aliases] if isinstance(aliases, str) else aliases)]
            if name.lower() in (one.lower() for one in names):
                weights = model.get('Weights')
                weights = weights[0] if isinstance(weights, list) else weights
                inside = weights is None or '://' in weights or os.path.isabs(weights)
                return str(root / model['Config']), weights if inside else str(root / weights)
            known += names
    for root in roots:
        files = sorted((root / 'configs').rglob('*.py'))
        matches = [file for file in files if file.stem == name]
        if len(matches) > 1:
            raise ConfigError(f'{name} may be {" or ".join(map(str, matches))}: give the path')
        if matches:
            return str(matches[0]), None
        known += [file.stem for file in files]
    near = get_close_matches(name, known)
    hint = f'did you mean {" or ".join(dict.fromkeys(near))}?' if near else 'give the path of a config file'
    raise ConfigError(f"no model '{name}' in {INDEX} or below configs of {' or '.join(map(str, roots))}: {hint}")


def _models(root: Path) -> Iterator[dict]:
    """Entries of an index, if there is one."""
    if not (root / INDEX).is_file():
        return
    try:
        for metafile in load_plain(root / INDEX)['Import']:
            for model in load_plain(root / metafile)['Models']:
                if not {'Name', 'Config'} <= model.keys():
                    raise KeyError(f'Name or Config of {dict(model)}')
                yield model
    except (KeyError, TypeError, AttributeError, OSError, ValueError) as error:
        raise ConfigError(
            f'{root / INDEX} cannot be read ({type(error).__name__}: {error}): expected Import, a list of metafiles, '
            'each with Models that have a Name and a Config'
        ) from error
