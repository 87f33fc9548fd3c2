"""What a run will need and does not have, found before it starts."""

import glob
import os
import os.path as osp
import shlex
from typing import NamedTuple
from urllib.parse import urlparse
from urllib.request import urlopen

from mmengine.config import Config, ConfigDict

from .config import find, innermost

WEIGHTS = ('model.safetensors', 'pytorch_model.bin')


class Missing(NamedTuple):
    """One thing a run lacks: what it is, how to get it, and an option that does without (empty: none)."""

    what: str
    get: str
    option: str


def find_missing(cfg: Config, splits: tuple[str, ...] = ('train', 'val'), weights: bool = True) -> list[Missing]:
    """Check data, text encoder and backbone weights of a config.

    Args:
        cfg: as :func:`load_config` gives it.
        splits: which dataloaders the run will use.
        weights: whether initial weights will be loaded (not when a checkpoint follows).
    """
    missing = _data(cfg, splits)
    if weights:
        encoder = cfg.model.get('text_encoder')
        if encoder is not None:
            missing += _bert(encoder)
        for key in ('text_encoder', 'backbone', 'decode_head'):
            missing += _init_weights(f'model.{key}', cfg.model.get(key) or {})
    return missing


def _data(cfg: Config, splits: tuple[str, ...]) -> list[Missing]:
    missing = []
    for split in splits:
        for dataset in innermost((cfg.get(f'{split}_dataloader') or {}).get('dataset') or {}):
            if 'ann_file' not in dataset:
                continue
            root = dataset.get('data_root') or ''
            table = osp.join(root, dataset.ann_file)
            if not osp.isfile(table):
                standin = dataset.type == 'RefHLSegDataset' and osp.normpath(root) == osp.normpath('data/refhl')
                get = (
                    'make refhl-phantom puts a made-up stand-in there' if standin else 'docs/datasets.md has the layout'
                )
                missing.append(Missing(f'data: no annotation table {table}', get, ''))
        if missing:  # a folder that is not there lacks every split's
            break
    return missing


def _bert(encoder: ConfigDict) -> list[Missing]:
    name = encoder.get('pretrained', 'bert-base-uncased')
    if name is None or osp.isdir(name) or on_hub(name):
        return []
    return [
        Missing(
            f"text encoder: '{name}' is no local folder, not in the cache, and the hub is out of reach",
            f'copy a folder with a BERT here (config.json, weights, tokenizer) or cache {name} on a connected machine',
            'model.text_encoder.pretrained=scratch',
        )
    ]


def on_hub(name: str, files: tuple[str, ...] = WEIGHTS) -> bool:
    """Whether a model is in the cache (one of ``files``), or the hub answers within seconds that it has it."""
    from huggingface_hub import HfApi, try_to_load_from_cache

    offline = os.environ.get('HF_HUB_OFFLINE', '').upper() in ('1', 'TRUE', 'YES', 'ON')
    try:
        if any(isinstance(try_to_load_from_cache(name, file), str) for file in files):
            return True
        if offline:
            return False
        HfApi().model_info(name, timeout=5)
    except Exception:  # the client's errors differ by cause and version; each means the same here
        return False
    return True


def _init_weights(key: str, part: ConfigDict) -> list[Missing]:
    missing = []
    for init in find(part.get('init_cfg') or {}):
        path = init.get('checkpoint')
        if path is None or _reachable(path):
            continue
        get = f'download it elsewhere and set {key}.init_cfg.checkpoint=FILE'
        earlier = glob.glob(osp.join('configs', '**', f'{osp.basename(osp.dirname(path))}.py'), recursive=True)
        if earlier:
            get = f'python tools/train.py {earlier[0]} makes it; or --init-from CHECKPOINT names another'
        missing.append(Missing(f'{key} weights: {path}', get, f'{key}.init_cfg=None'))
    return missing


def _reachable(path: str) -> bool:
    url = urlparse(path)
    if url.scheme not in ('http', 'https'):
        return osp.isfile(path) or bool(url.scheme)
    import torch

    if osp.isfile(osp.join(torch.hub.get_dir(), 'checkpoints', osp.basename(url.path))):
        return True
    try:
        with urlopen(path, timeout=5):
            return True
    except (OSError, ValueError):
        return False


def report(missing: list[Missing], argv: list[str]) -> str:
    """A few lines: what is missing, how to get it, and one command that does without.

    Args:
        missing: from :func:`find_missing`.
        argv: the command that was given, script first.
    """
    lines = ['This run cannot start:']
    for item in missing:
        lines += [f'  - {item.what}', f'      {item.get}']
    options = [m.option for m in missing if m.option]
    if options:
        words = list(argv) if '--cfg-options' in argv else [*argv, '--cfg-options']
        # Behind the values that are there: of two for one key the last counts.
        place = words.index('--cfg-options') + 1
        while place < len(words) and not words[place].startswith('-'):
            place += 1
        words[place:place] = options
        lines += ['Or do without (from random weights, which is not the published recipe):']
        lines += [f'  python {shlex.join(words)}']
    return '\n'.join(lines)
