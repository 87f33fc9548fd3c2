"""Configs made whole: one text encoder, and every part that depends on it in step."""

import os.path as osp
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.runner.checkpoint import CheckpointLoader

from ..models.text_encoders import TextEncoderError, read_tokenizer_source
from ..tokenization import TokenizerSource, vocab_source

SCRATCH_ARCH = dict(hidden_size=128, num_hidden_layers=2, num_attention_heads=4, intermediate_size=512)
PIPELINES = ('train_dataloader', 'val_dataloader', 'test_dataloader', 'tta_pipeline')
READER_OPTIONS = ('image_column', 'mask_column', 'text_column', 'prompt', 'sheet', 'allow_empty_text')


class ConfigError(ValueError):
    """A config that cannot be run; the message names the key and the mend."""


def load_config(path: str, options: dict | None = None, checkpoint: str | None = None) -> Config:
    """Read a config, merge options, and settle its text encoder.

    ``model.text_encoder.pretrained`` decides alone: a hub name, a folder with a BERT, or ``'scratch'``, a
    small BERT with a vocabulary built from the training text. ``TokenizeText`` in every pipeline and
    ``text_channels`` of every part follow it. With a checkpoint, the vocabulary is the checkpoint's.

    Args:
        path: config file.
        options: as MMSegmentation's ``--cfg-options``.
        checkpoint: file whose vocabulary to use.

    Raises:
        ConfigError: no such file, or a text encoder that cannot be settled.
    """
    if not osp.isfile(path):
        raise ConfigError(f'no config file at {path}')
    cfg = Config.fromfile(path)
    if options:
        _drop_old_encoder(cfg, options)
        cfg.merge_from_dict(options)
    settle_text_encoder(cfg, None if checkpoint is None else checkpoint_tokenizer(checkpoint))
    return cfg


def settle_text_encoder(cfg: Config, stored: TokenizerSource | None = None) -> None:
    """Bring tokenizers and text widths in step with ``cfg.model.text_encoder``, in place.

    Args:
        cfg: config of a text model; one without ``text_encoder`` is left as it is.
        stored: tokenizer source out of a checkpoint; it goes before the config's.
    """
    encoder = cfg.model.get('text_encoder')
    if encoder is None or encoder.get('type') != 'BertTextEncoder':
        return
    if encoder.get('pretrained') == 'scratch':
        _from_scratch(cfg, encoder)
    source = encoder.get('tokenizer') or encoder.get('pretrained', 'bert-base-uncased')
    if source is None:  # building the encoder says what it needs
        return
    source = source.to_dict() if isinstance(source, ConfigDict) else source
    if isinstance(stored, dict):
        source = stored
    # Spelt out, so that the config dumped beside the checkpoint needs no annotation table any more. Where the table
    # is not there the source stays: find_missing reports it.
    if isinstance(source, str) or 'build_from' not in source or all(map(osp.isfile, _tables(source))):
        source = vocab_source(source)
    encoder.tokenizer = source
    for transform in find([node for key, node in cfg.items() if key in PIPELINES], type='TokenizeText'):
        transform.tokenizer = source
    width = _width(encoder)
    if width is not None:
        for part in find(cfg.model):
            if part.get('text_channels') is not None:
                part.text_channels = width


def _drop_old_encoder(cfg: Config, options: dict) -> None:
    """Another ``pretrained`` takes its own vocabulary and shape, not those of the config's encoder."""
    key = 'model.text_encoder'
    if f'{key}.pretrained' not in options or cfg.model.get('text_encoder') is None:
        return
    for own in ('tokenizer', 'arch'):
        cfg.model.text_encoder.pop(own, None)


def innermost(dataset: ConfigDict) -> ConfigDict:
    """The dataset inside RepeatDataset and its like."""
    while 'dataset' in dataset:
        dataset = dataset.dataset
    return dataset


def _tables(source: dict) -> list[str]:
    tables = source['build_from']
    return [tables] if isinstance(tables, str) else list(tables)


def _from_scratch(cfg: Config, encoder: ConfigDict) -> None:
    if 'tokenizer' not in encoder or isinstance(encoder.tokenizer, str):
        dataset = innermost(cfg.train_dataloader.dataset)
        options = {k: dataset[k] for k in READER_OPTIONS if k in dataset}
        encoder.tokenizer = dict(build_from=osp.join(dataset.get('data_root') or '', dataset.ann_file), **options)
    encoder.pretrained = None
    encoder.arch = {**SCRATCH_ARCH, **(encoder.get('arch') or {})}


def _width(encoder: ConfigDict) -> int | None:
    """Hidden size, where it can be known without the network."""
    if encoder.get('arch') and 'hidden_size' in encoder.arch:
        return encoder.arch.hidden_size
    name = encoder.get('pretrained', 'bert-base-uncased')
    if name is not None and osp.isdir(name):
        from transformers import AutoConfig

        try:
            return AutoConfig.from_pretrained(name, local_files_only=True).hidden_size
        except (OSError, ValueError) as error:
            raise TextEncoderError(f"no BERT config.json to be read in '{name}': {error}") from error
    return None


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


def checkpoint_tokenizer(checkpoint: str) -> TokenizerSource | None:
    """Tokenizer source stored in a checkpoint; None for a text-free model.

    Raises:
        ConfigError: no such file.
    """
    if not Path(checkpoint).is_file() and '://' not in checkpoint:
        raise ConfigError(f'no checkpoint at {checkpoint}')
    loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
    state = loaded.get('state_dict', loaded)
    key = 'text_encoder._extra_state'
    return read_tokenizer_source(state[key]) if key in state else None
