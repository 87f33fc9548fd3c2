"""Configs made whole: one text encoder, and every part that depends on it in step."""

import os.path as osp
from collections.abc import Iterator
from difflib import get_close_matches
from inspect import signature
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader

from ..models.text_encoders import TextEncoderError, read_encoder
from ..models.text_encoders.bert import BERT_BASE
from ..tokenization import READER_OPTIONS, vocab_source

ENCODER = 'model.text_encoder'
SCRATCH_ARCH = dict(hidden_size=128, num_hidden_layers=2, num_attention_heads=4, intermediate_size=512)
PIPELINES = ('train_dataloader', 'val_dataloader', 'test_dataloader', 'tta_pipeline')


class ConfigError(ValueError):
    """A config that cannot be run; the message names the key and the mend."""


def load_config(
    path: str, options: dict | None = None, checkpoint: str | None = None, build_vocab: bool = True
) -> Config:
    """Read a config, merge options, and settle its text encoder.

    ``model.text_encoder.pretrained`` decides alone: a hub name, a folder with a BERT, or ``'scratch'``, a
    small BERT with a vocabulary built from the training text. ``TokenizeText`` in every pipeline and
    ``text_channels`` of every part follow it. With a checkpoint, the text encoder is the checkpoint's, unless an
    option names another. In a text-free config ``TokenizeText`` is left out.

    Args:
        path: config file.
        options: as MMSegmentation's ``--cfg-options``.
        checkpoint: file whose text encoder (vocabulary, shape, name) to use.
        build_vocab: ``False`` only names the vocabulary, and the tables that it is built from may be faulty; the
            config can tell how data is read, and makes no model.

    Raises:
        ConfigError: no such file, one that cannot be read, an option that nothing takes, or a text encoder that cannot
            be settled.
    """
    cfg = read_config(path, options)
    if not isinstance(cfg.get('model'), dict):
        raise ConfigError(f'{path} has no model=dict(type=...): is it a config of MMSegmentation, and complete?')
    stored = None if checkpoint is None else checkpoint_encoder(checkpoint)
    if stored and cfg.model.get('text_encoder') is not None:
        # The folder of a BERT may have moved: then an option says where its vocabulary is.
        wanted = (options or {}).get(f'{ENCODER}.pretrained')
        moved = isinstance(stored['tokenizer'], str) and wanted is not None
        if stored['pretrained'] is None and wanted not in (None, 'scratch'):
            raise ConfigError(
                f'{ENCODER}.pretrained={wanted}, but {checkpoint} has a text encoder that was trained from scratch, '
                'with a vocabulary of its own: leave the option out'
            )
        if not moved:
            for key in ('pretrained', 'tokenizer', 'arch'):  # one by one: update() of a ConfigDict merges
                cfg.model.text_encoder[key] = stored[key]
            if stored['pretrained'] is None and f'{ENCODER}.frozen' not in (options or {}):
                _train_encoder(cfg)
    settle_text_encoder(cfg, build_vocab)
    return cfg


def read_config(path: str, options: dict | None = None) -> Config:
    """Read a config and merge options, no more.

    Raises:
        ConfigError: no such file, one that cannot be read, or an option that nothing takes.
    """
    if not osp.isfile(path):
        raise ConfigError(f'no config file at {path}')
    try:
        cfg = Config.fromfile(path)
    except Exception as error:  # a config is a program, which can fail in any way
        raise ConfigError(
            f'{path} cannot be read as a config ({type(error).__name__}: {error}): mend it, or a file of its _base_'
        ) from error
    if options:
        _merge(cfg, options)
    return cfg


# Top-level keys that mmengine's Runner and tools look for without a parameter of that name.
READ_BY_THE_RUNNER = (
    *('runner_type', 'model_wrapper_cfg', 'find_unused_parameters', 'sync_bn', 'compile'),
    *('activation_checkpointing', 'efficient_conv_bn_eval'),
)


def _merge(cfg: Config, options: dict) -> None:
    """Put options into a config; mmengine would keep a mistyped key without a word."""
    known = {*cfg.keys(), *signature(Runner.__init__).parameters, *PIPELINES, *READ_BY_THE_RUNNER, 'tta_model'}
    for option in options:
        key = option.partition('.')[0]
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f'did you mean {near[0]}?' if near else f'the config has {", ".join(cfg.keys())}'
            raise ConfigError(f'--cfg-options {option}: nothing reads the key {key!r}; {hint}')
    try:
        _drop_old_encoder(cfg, options)
        cfg.merge_from_dict(options)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise ConfigError(
            f'--cfg-options {", ".join(options)} cannot be merged into the config ({error}): name keys of it, and '
            'places of lists by their number from 0'
        ) from error


def init_from(cfg: Config, checkpoint: str) -> None:
    """Start backbone and text encoder from another run's checkpoint, strictly: MPTPN's stage 2 from its stage 1.

    Args:
        cfg: from ``load_config(..., checkpoint=checkpoint)``, so that the vocabulary is the checkpoint's; changed in
            place.
        checkpoint: with keys ``backbone.*`` and, for a model with text, ``text_encoder.*``.
    """
    for part in ('backbone', 'text_encoder'):
        if cfg.model.get(part) is not None:
            init_cfg = dict(type='StrictPretrained', checkpoint=checkpoint, prefix=f'{part}.')
            cfg.model[part].init_cfg = ConfigDict(init_cfg)


def settle_text_encoder(cfg: Config, build_vocab: bool = True) -> None:
    """Bring tokenizers and text widths in step with ``cfg.model.text_encoder``, in place; see :func:`load_config`."""
    pipelines = [node for key, node in cfg.items() if key in PIPELINES]
    encoder = cfg.model.get('text_encoder')
    if encoder is None:
        for node in find(pipelines):
            for key, steps in node.items():  # 'pipeline', and 'transforms' of test-time augmentation
                if key in ('pipeline', 'transforms'):
                    node[key] = _without_tokenizer(steps)
        if 'tta_pipeline' in cfg:
            cfg.tta_pipeline = _without_tokenizer(cfg.tta_pipeline)
        return
    if encoder.get('type') != 'BertTextEncoder':
        return
    if encoder.get('pretrained') == 'scratch':
        _from_scratch(cfg, encoder)
    source = encoder.get('tokenizer') or encoder.get('pretrained', 'bert-base-uncased')
    if source is None:  # building the encoder says what it needs
        return
    if isinstance(source, ConfigDict):
        source = {k: v for k, v in source.to_dict().items() if k != '_delete_'}
    # Spelt out, so that the config dumped beside the checkpoint needs no annotation table any more. Where the table
    # is not there the source stays: find_missing reports it.
    named = isinstance(source, str) or 'build_from' not in source
    if build_vocab and (named or all(map(osp.isfile, _tables(source)))):
        source = vocab_source(source)
    encoder.tokenizer = source
    for transform in find(pipelines, type='TokenizeText'):
        transform.tokenizer = source
    width = _width(encoder) if build_vocab else None
    if width is not None:
        for part in find(cfg.model):
            if part.get('text_channels') is not None:
                part.text_channels = width


def _without_tokenizer(steps: list) -> list:
    """Steps of a pipeline, or lists of them, but for TokenizeText; a list of it alone goes too."""
    kept = []
    for step in steps:
        if isinstance(step, list):
            rest = _without_tokenizer(step)
            if rest or not step:
                kept.append(rest)
        elif not isinstance(step, dict) or step.get('type') != 'TokenizeText':
            kept.append(step)
    return kept


def _drop_old_encoder(cfg: Config, options: dict) -> None:
    """Another ``pretrained`` takes its own vocabulary and shape, not those of the config's encoder."""
    if f'{ENCODER}.pretrained' not in options or cfg.model.get('text_encoder') is None:
        return
    for own in ('tokenizer', 'arch'):
        cfg.model.text_encoder.pop(own, None)


def innermost(dataset: ConfigDict) -> Iterator[ConfigDict]:
    """The datasets inside RepeatDataset, ConcatDataset and their like."""
    if 'dataset' in dataset:
        yield from innermost(dataset.dataset)
    elif 'datasets' in dataset:
        for part in dataset.datasets:
            yield from innermost(part)
    else:
        yield dataset


def _tables(source: dict) -> list[str]:
    tables = source['build_from']
    tables = [tables] if isinstance(tables, (str, dict)) else tables
    return [table if isinstance(table, str) else table['ann_file'] for table in tables]


def _from_scratch(cfg: Config, encoder: ConfigDict) -> None:
    if 'tokenizer' not in encoder or isinstance(encoder.tokenizer, str):
        tables = []
        for part in innermost(cfg.train_dataloader.dataset):
            table = osp.join(part.get('data_root') or '', part.ann_file)
            options = {key: part[key] for key in READER_OPTIONS if key in part}
            tables.append(dict(ann_file=table, **options) if options else table)
        encoder.tokenizer = dict(build_from=tables if len(tables) > 1 else tables[0])
    _train_encoder(cfg)
    encoder.pretrained = None
    encoder.arch = {**SCRATCH_ARCH, **(encoder.get('arch') or {})}


def _train_encoder(cfg: Config) -> None:
    """Freezing, with its cache, and a lower learning rate are for weights that know something already."""
    for key in ('frozen', 'cache'):
        cfg.model.text_encoder.pop(key, None)
    (cfg.get('optim_wrapper') or {}).get('paramwise_cfg', {}).get('custom_keys', {}).pop('text_encoder', None)


def _width(encoder: ConfigDict) -> int | None:
    """Hidden size: of ``arch``, of the folder's config, or of the hub's (from the cache, else asked for)."""
    from transformers import AutoConfig

    if encoder.get('arch') and 'hidden_size' in encoder.arch:
        return encoder.arch.hidden_size
    name = encoder.get('pretrained', 'bert-base-uncased')
    if name is None:
        return None
    if name in BERT_BASE:
        return 768
    try:
        return AutoConfig.from_pretrained(name, trust_remote_code=False).hidden_size
    except (OSError, ValueError) as error:
        if osp.isdir(name):
            raise TextEncoderError(f"no BERT config.json to be read in '{name}': {error}") from error
        return None  # out of reach: find_missing reports it


def find(node, **wanted) -> Iterator[ConfigDict]:
    """Every dict inside ``node`` whose items include ``wanted``, depth first."""
    if isinstance(node, Config):
        node = node._cfg_dict
    if isinstance(node, dict):
        if all(node.get(key) == value for key, value in wanted.items()):
            yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for child in node:
            yield from find(child, **wanted)


def checkpoint_encoder(checkpoint: str) -> dict | None:
    """What a checkpoint says of its text encoder (see ``read_encoder``); None for a text-free model.

    Raises:
        ConfigError: no such file.
    """
    state = checkpoint_weights(checkpoint)
    key = 'text_encoder._extra_state'
    return read_encoder(state[key]) if key in state else None


def checkpoint_weights(checkpoint: str) -> dict:
    """State dict of a checkpoint.

    Raises:
        ConfigError: no such file.
        CheckpointError: no checkpoint, or one that could run code.
    """
    if not Path(checkpoint).is_file() and '://' not in checkpoint:
        raise ConfigError(f'no checkpoint at {checkpoint}')
    loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
    return loaded.get('state_dict', loaded)
