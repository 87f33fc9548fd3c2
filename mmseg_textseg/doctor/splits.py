"""Which splits there are: those of a config's dataloaders, or tables given by name."""

import json
import os.path as osp
from collections.abc import Sequence
from dataclasses import dataclass, field

from mmcv.transforms import LoadAnnotations
from mmengine.config import Config, ConfigDict
from mmseg.registry import DATASETS, TRANSFORMS

from ..apis.config import ConfigError, find, innermost
from ..datasets import LoadMask, TextSegDataset

ROLES = ('train', 'val', 'test')
LOAD_IMAGE = dict(type='LoadImageFromFile')
LOAD_MASK = dict(type='LoadMask')


@dataclass(frozen=True)
class Loading:
    """How a pipeline reads files.

    Attributes:
        image: config of the transform that gives ``img``.
        mask: config of the transform that gives ``gt_seg_map``.
        classes: number of classes, for transforms that take values as class numbers.
        backend_args: of mmengine's file backend.
    """

    image: dict
    mask: dict
    classes: int
    backend_args: dict | None = None

    @property
    def key(self) -> str:
        """Equal for loadings that read alike."""
        return json.dumps([self.image, self.mask, self.classes, self.backend_args], sort_keys=True, default=str)


@dataclass(frozen=True)
class Split:
    """One table and how it is read.

    Attributes:
        name: ``'train'``, or ``'train[1]'`` where a split has several tables.
        role: ``'train'``; what stands in two roles is a leak.
        dataset: the dataset, not loaded yet.
        loading: how its pipeline reads files.
        tokenizer: source of ``TokenizeText``; None without it.
        max_tokens: of ``TokenizeText``.
        resized: whether the pipeline resizes or crops to one size.
    """

    name: str
    role: str
    dataset: TextSegDataset
    loading: Loading = field(default_factory=lambda: Loading(LOAD_IMAGE, LOAD_MASK, 2))
    tokenizer: str | dict | None = None
    max_tokens: int = 0
    resized: bool = False

    @property
    def table(self) -> str:
        """Path of the annotation table."""
        return self.dataset.ann_file


def config_splits(cfg: Config) -> list[Split]:
    """Splits of the config's dataloaders; where two of val and test are one table, one split ``'val+test'``.

    Args:
        cfg: as :func:`mmseg_textseg.apis.load_config` gives it.

    Raises:
        ConfigError: without a dataset, or with one that is no :class:`TextSegDataset`.
    """
    found: list[tuple[str, str, ConfigDict]] = []
    for role in ROLES:
        parts = list(innermost((cfg.get(f'{role}_dataloader') or {}).get('dataset') or ConfigDict()))
        parts = [part for part in parts if part]
        found += [(role, role if len(parts) == 1 else f'{role}[{i}]', part) for i, part in enumerate(parts)]
    if not found:
        raise ConfigError('the config has no dataset in train_dataloader, val_dataloader or test_dataloader')
    merged: list[tuple[str, str, ConfigDict]] = []
    for role, name, part in found:
        twin = next((i for i, (_, _, other) in enumerate(merged) if _content(other) == _content(part)), None)
        if twin is not None and role == 'test' and merged[twin][0] == 'val':
            merged[twin] = ('val+test', merged[twin][1].replace('val', 'val+test'), part)
        else:
            merged.append((role, name, part))
    return [_split(role, name, part) for role, name, part in merged]


def _content(part: ConfigDict) -> str:
    """What decides the rows; not the pipeline."""
    kept = {key: value for key, value in part.items() if key not in ('pipeline', 'test_mode')}
    return json.dumps(kept, sort_keys=True, default=str)


def _split(role: str, name: str, part: ConfigDict) -> Split:
    options = {key: value for key, value in part.to_dict().items() if key != 'pipeline'}
    kind = DATASETS.get(options.get('type', ''))
    if not (isinstance(kind, type) and issubclass(kind, TextSegDataset)):
        raise ConfigError(
            f'{name}: the dataset is of type {options.get("type")!r}; expected TextSegDataset or one derived from it'
        )
    dataset = DATASETS.build({**options, 'pipeline': [], 'lazy_init': True})
    pipeline = part.get('pipeline') or []
    image, mask = _loaders(pipeline)
    tokenize = next(find(pipeline, type='TokenizeText'), None)
    return Split(
        name,
        role,
        dataset,
        Loading(image, mask, len(dataset.metainfo.get('classes') or ()), dataset.backend_args),
        None if tokenize is None else _plain(tokenize.get('tokenizer')),
        0 if tokenize is None else tokenize.get('max_tokens', 20),
        any('Resize' in step.type or 'Crop' in step.type for step in find(pipeline) if 'type' in step),
    )


def _plain(value):
    return value.to_dict() if isinstance(value, ConfigDict) else value


def _loaders(pipeline: Sequence) -> tuple[dict, dict]:
    """The first transform that loads images and the first that loads masks, else the stock ones."""
    image = mask = None
    for step in find(list(pipeline)):
        name = step.get('type')
        kind = TRANSFORMS.get(name) if isinstance(name, str) and name.split('.')[-1].startswith('Load') else None
        if kind is None:
            continue
        if issubclass(kind, (LoadMask, LoadAnnotations)) or 'Mask' in kind.__name__:
            mask = mask or step.to_dict()
        else:
            image = image or step.to_dict()
    return image or LOAD_IMAGE, mask or LOAD_MASK


def table_splits(
    root: str, tables: Sequence[tuple[str, str]], kind: str = 'TextSegDataset', options: dict | None = None
) -> list[Split]:
    """Splits without a config: stock loading, no tokeniser.

    Args:
        root: ``data_root``.
        tables: (split, table relative to ``root``); several may be of one split.
        kind: registered dataset class.
        options: further options of the dataset. Without ``data_prefix``, a class that has no folders of its own takes
            ``images`` and ``masks`` where they are there.

    Raises:
        ConfigError: no such folder or dataset class, or options that it does not take.
    """
    if not osp.isdir(root):
        raise ConfigError(f'--root {root} is no folder: expected the one that holds images, masks and tables')
    built = DATASETS.get(kind)
    if not (isinstance(built, type) and issubclass(built, TextSegDataset)):
        raise ConfigError(f'--type {kind!r} is no dataset class: expected TextSegDataset or one derived from it')
    options = dict(options or {})
    if 'data_prefix' not in options and built.DATA_PREFIX == TextSegDataset.DATA_PREFIX and built is TextSegDataset:
        folders = dict(img_path='images', seg_map_path='masks')
        options['data_prefix'] = {k: v if osp.isdir(osp.join(root, v)) else '' for k, v in folders.items()}
    roles = [role for role, _ in tables]
    splits: list[Split] = []
    for role, table in tables:
        number = sum(split.role == role for split in splits)
        name = role if roles.count(role) == 1 else f'{role}[{number}]'
        try:
            dataset = DATASETS.build(dict(type=kind, data_root=root, ann_file=table, lazy_init=True, **options))
        except (TypeError, ValueError) as error:
            raise ConfigError(f'{kind} cannot be made with {options}: {error}') from error
        splits.append(Split(name, role, dataset, Loading(LOAD_IMAGE, LOAD_MASK, 2, dataset.backend_args)))
    return splits
