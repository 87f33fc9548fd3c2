"""The run: every condition on the same items, each kept on disk when it is done."""

import hashlib
import json
import re
import statistics
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS

from ...apis.config import checkpoint_weights, find, innermost
from ...datasets import TextSegDataset
from ...datasets.partial_wording import load_wording
from ...fileio import sha256
from ...models.layers import match_weights
from ...tokenization import load_tokenizer
from ...version import __version__
from ..comparison.significance import Interval
from .conditions import NEUTRAL, WITHOUT, AuditError, Condition
from .effects import Effect, Followed, followed, mean_interval, measure
from .items import (
    Item,
    Scored,
    Scorer,
    Vocabulary,
    Words,
    choose,
    list_items,
    quiet,
    read_scored,
    write_scored,
)


@dataclass(frozen=True)
class AuditOptions:
    """How an audit is run.

    Attributes:
        split: ``'test'`` or ``'val'``, whose dataloader counts.
        limit: at most so many items, of whole images drawn at random; None takes all.
        seed: of that draw and of the bootstrap.
        batch_size: items at a time; None takes the dataloader's.
        device: e.g. ``'cpu'``.
    """

    split: str = 'test'
    limit: int | None = None
    seed: int = 0
    batch_size: int | None = None
    device: str = 'cpu'


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        items: their number; of ``groups`` cases or images (``noun``).
        full: mean Dice with full text and its interval; ``full_iou`` without one.
        words: of the full sentences.
        effects: one a condition, without the full one, in the order of the conditions.
        absent: name of a condition that this dataset does not allow -> why.
        followed: of contradicted sentences; None if no such sentence names anything annotated.
        scored: condition -> its items.
    """

    items: int
    groups: int
    noun: str
    full: Interval
    full_iou: float
    words: Words
    effects: list[Effect]
    absent: dict[str, str]
    followed: Followed | None
    scored: dict[str, list[Scored]] = field(repr=False)


def dataset_config(cfg: Config, split: str) -> ConfigDict:
    """The dataset of a split with its full text, and always the same of several sentences.

    Raises:
        AuditError: no such split, a dataset without the options that conditions need, or no TokenizeText.
    """
    loader = cfg.get(f'{split}_dataloader')
    if loader is None:
        raise AuditError(f'the config has no {split}_dataloader: a pretraining, or set --split')
    dataset = deepcopy(loader.dataset)
    for part in innermost(dataset):
        kind = DATASETS.get(part.type) if isinstance(part.type, str) else part.type
        if not (isinstance(kind, type) and issubclass(kind, TextSegDataset)):
            raise AuditError(f'{part.type} is no TextSegDataset, whose sentences an audit can change')
        part.update(NEUTRAL)
    for step in find(dataset, type='PickText'):
        step['mode'] = 'first'
    if not any(True for _ in find(dataset, type='TokenizeText')):
        raise AuditError(f'the pipeline of {split}_dataloader has no TokenizeText: there is no text to change')
    return dataset


def partial_options(cfg: Config, split: str) -> dict:
    """``wording``, ``fields`` and ``seed`` of the config's own ``partial_text``, which describe its sentences."""
    for part in innermost((cfg.get(f'{split}_dataloader') or {}).get('dataset') or {}):
        given = part.get('partial_text')
        if isinstance(given, dict):
            options = {key: given[key] for key in ('fields', 'seed') if key in given}
            if given.get('wording') is not None:
                # A file's content, not its name, decides whether what is kept on disk still counts.
                phrases = load_wording(given['wording'])
                options['wording'] = {name: {'as': role, 'phrase': words} for name, (role, words) in phrases.items()}
            return options
    return {}


def build_model(cfg: Config, checkpoint: str, device: str):
    """The model of a config with a checkpoint's weights, all of them, ready to be asked.

    Raises:
        WeightsError: weights that do not fill it.
        AuditError: a device that is not there.
    """
    model = MODELS.build(cfg.model)
    state = checkpoint_weights(checkpoint)
    match_weights(model, state, checkpoint)
    model.load_state_dict(state, strict=False)
    try:
        return model.to(device).eval()
    except (RuntimeError, AssertionError) as error:  # torch's words for a device that is not there
        raise AuditError(f'device {device!r} cannot be used ({error}): cpu always can') from error


def audit_text(
    cfg: Config,
    checkpoint: str,
    conditions: Sequence[Condition],
    folder: Path,
    options: AuditOptions = AuditOptions(),
    tell: Callable[[str], None] = print,
) -> Audit:
    """Run a model under every condition.

    ``folder/conditions`` keeps a csv a condition, under a name made of all that decides about its content (model,
    checkpoint, dataset, table, condition, drawn items), so that a run goes on where it was stopped.

    Args:
        cfg: as ``load_config`` gives it, with the checkpoint's text encoder.
        checkpoint: its weights.
        conditions: the full one first.
        folder: where to keep results.
        options: split, number of items, seed, batch size, device.
        tell: gets a line a condition.

    Raises:
        AuditError: as :func:`dataset_config`, or sample ids that are not unique.
    """
    init_default_scope('mmseg')
    run = _Run(cfg, checkpoint, folder / 'conditions', options)
    scored: dict[str, list[Scored]] = {}
    absent: dict[str, str] = {}
    for condition in conditions:
        try:
            found = scored[condition.name] = run.score(condition)
        except Impossible as error:
            absent[condition.name] = str(error)
            tell(f'{condition.title}: not possible: {error}')
            continue
        if condition.kind == 'full':
            tell(f'{condition.title}: {len(found)} items')
        elif found or condition.kind != WITHOUT:
            tell(f'{condition.title}: {len(found)} of {len(scored["full"])} sentences changed')
    return _summary(run, conditions, scored, absent)


class Impossible(ValueError):
    """A condition that a dataset does not allow."""


class _Run:
    """One model and one dataset; the model is loaded when a condition needs it."""

    def __init__(self, cfg: Config, checkpoint: str, folder: Path, options: AuditOptions) -> None:
        self.cfg, self.checkpoint, self.folder, self.options = cfg, checkpoint, folder, options
        self.base = dataset_config(cfg, options.split)
        self.dataset = DATASETS.build(self.base)
        self.items = list_items(self.dataset)
        self.texts = {item.sample_id: item.text for item in self.items}
        if len(self.texts) < len(self.items):
            raise AuditError('sample_ids are not unique: of joined datasets audit one at a time')
        self.chosen = choose(self.items, options.limit, options.seed)
        tables = [Path(part.get('data_root') or '') / part.ann_file for part in innermost(self.base)]
        self._basis = dict(
            version=__version__,
            model=cfg.model,
            dataset=self.base,
            evaluator=cfg.get(f'{options.split}_evaluator'),
            files=[sha256(file) for file in (checkpoint, *tables)],
            chosen=sorted(self.chosen),
        )

    def score(self, condition: Condition) -> list[Scored]:
        """The chosen items whose sentence the condition changes (all of the full one); read where they are known.

        Raises:
            Impossible: the dataset does not allow it.
        """
        path = self._path(condition)
        if path.is_file():
            return read_scored(path)
        if condition.kind == 'full':
            dataset, items, wanted = self.dataset, self.items, self._chosen(self.items)
        else:
            try:
                with quiet():
                    dataset = DATASETS.build(self._changed(condition))
            except ValueError as error:
                raise Impossible(str(error)) from error
            items = list_items(dataset)
            wanted = [i for i in self._chosen(items) if items[i].text != self.texts[items[i].sample_id]]
        scored = self._scorer(dataset, items, wanted, condition.title) if wanted else []
        write_scored(path, scored)
        return scored

    def _chosen(self, items: Sequence[Item]) -> list[int]:
        return [i for i, item in enumerate(items) if item.sample_id in self.chosen]

    def _changed(self, condition: Condition) -> ConfigDict:
        dataset = deepcopy(self.base)
        for part in innermost(dataset):
            for key, value in condition.options.items():
                part[key] = value
        return dataset

    def _path(self, condition: Condition) -> Path:
        told = json.dumps([self._basis, condition.options], sort_keys=True, default=str)
        name = re.sub(r'[^\w-]+', '_', condition.name)
        return self.folder / f'{name}-{hashlib.sha256(told.encode()).hexdigest()[:12]}.csv'

    @cached_property
    def _scorer(self) -> Scorer:
        loader = self.cfg[f'{self.options.split}_dataloader']
        metric = next(find(self.cfg.get(f'{self.options.split}_evaluator') or {}, type='TextSegMetric'), {})
        return Scorer(
            build_model(self.cfg, self.checkpoint, self.options.device),
            batch_size=self.options.batch_size or loader.get('batch_size', 1),
            workers=loader.get('num_workers', 0),
            ignore_index=metric.get('ignore_index', 255),
            threshold=metric.get('threshold'),
        )


def _summary(
    run: _Run, conditions: Sequence[Condition], scored: dict[str, list[Scored]], absent: dict[str, str]
) -> Audit:
    vocabulary = Vocabulary(load_tokenizer(next(find(run.base, type='TokenizeText')).tokenizer))
    full = {one.sample_id: one for one in scored['full']}
    effects = [
        measure(condition, full, scored[condition.name], vocabulary, run.options.seed)
        for condition in conditions
        if condition.kind != 'full' and condition.name in scored
    ]
    groups = [one.group for one in full.values()]
    nouns = {group.split(' ')[0] for group in groups}
    return Audit(
        items=len(full),
        groups=len(set(groups)),
        noun=nouns.pop() if len(nouns) == 1 else 'group',
        full=mean_interval([one.dice for one in full.values()], groups, run.options.seed),
        full_iou=statistics.fmean(one.iou for one in full.values()),
        words=vocabulary.count(list(full.values())),
        # Of attributes only those that these sentences have.
        effects=[effect for effect in effects if effect.changed or effect.condition.kind != WITHOUT],
        absent={name: why for name, why in absent.items() if not name.startswith(WITHOUT)},
        followed=followed(full, scored.get('contradicted', ())),
        scored=scored,
    )
