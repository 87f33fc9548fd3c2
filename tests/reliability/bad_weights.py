"""Checkpoints and initial weights."""

import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from bad_input import Case, Place, cut, text_file
from mmseg.registry import MODELS
from torch import nn

from mmseg_textseg.apis import ConfigError, TextSegInferencer, init_from, load_config
from mmseg_textseg.apis.cli import require
from mmseg_textseg.models import TextEncoderError, WeightsError
from mmseg_textseg.models.layers import StrictPretrained
from mmseg_textseg.safe_load import CheckpointError


@cache
def stored(path: str) -> dict:
    return torch.load(path, map_location='cpu', weights_only=False)


def altered(change: Callable[[dict], Any]) -> Callable[[Place], tuple]:
    """The checkpoint of the tiny model, changed."""

    def make(place: Place) -> tuple:
        state = dict(stored(place.checkpoint)['state_dict'])
        torch.save(dict(state_dict=change(state) or state, meta={}), place.folder / 'model.pth')
        return place, place.folder / 'model.pth'

    return make


def file(name: str, content: bytes) -> Callable[[Place], tuple]:
    return lambda place: (place, Path(text_file(name, content)(place)))


def copied(place: Place) -> tuple:
    (place.folder / 'model.pth').write_bytes(Path(place.checkpoint).read_bytes())
    return place, cut(place.folder / 'model.pth')


def segment(made: tuple) -> None:
    place, path = made
    TextSegInferencer(place.config, str(path), 'cpu')


def go_on(made: tuple) -> None:
    place, path = made
    load_config(place.config, checkpoint=str(path))


def another_vocabulary(made: tuple) -> None:
    """With MMSegmentation's own tools, which do not take the checkpoint's vocabulary."""
    place, path = made
    cfg = load_config(place.config)
    words = cfg.model.text_encoder.tokenizer.vocab.split()
    cfg.model.text_encoder.tokenizer = dict(vocab=' '.join([*words[:-2], words[-1], words[-2]]))
    MODELS.build(cfg.model).load_state_dict(stored(str(path))['state_dict'], strict=False)


def another_encoder(made: tuple) -> None:
    place, path = made
    load_config(place.config, {'model.text_encoder.pretrained': 'bert-base-uncased'}, str(path))


def good(place: Place) -> tuple:
    return place, Path(place.checkpoint)


def only(prefix: str) -> Callable[[dict], dict]:
    return lambda state: {key: value for key, value in state.items() if key.startswith(prefix)}


def without_a_key(state: dict) -> None:
    del state['decode_head.conv_seg.weight']


def reshaped(state: dict) -> None:
    state['decode_head.conv_seg.weight'] = torch.zeros(5, 16, 1, 1)


def stock(state: dict) -> dict:
    return dict(nn.Sequential(nn.Linear(2, 2)).state_dict())


def no_prefix(made: tuple) -> None:
    StrictPretrained(str(made[1]), prefix='encoder.')(nn.Linear(2, 2))


def initial(part: str, path: str) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        cfg = load_config(place.config)
        cfg.model[part].init_cfg = dict(type='StrictPretrained', checkpoint=str(place.folder / path))
        require(cfg, ('train',), weights=True)

    return run


def encoder_from_the_hub(place: Place) -> None:
    cfg = load_config(place.config)
    cfg.model.text_encoder.update(pretrained='bert-base-nowhere', tokenizer=None)
    require(cfg, ('train',), weights=True)


def stage_one(made: tuple) -> None:
    place, path = made
    cfg = load_config(place.config, checkpoint=str(path))
    init_from(cfg, str(path))
    MODELS.build(cfg.model).init_weights()


def here(place: Place) -> Place:
    return place


DAMAGED = ('model.pth is no whole checkpoint', 'Copy it anew, or take an earlier one')
NOTHING = ('model.pth is no checkpoint, or a damaged one', 'expected a .pth file')
CASES = [
    Case(
        'no such checkpoint',
        lambda place: (place, place.folder / 'gone.pth'),
        segment,
        ConfigError,
        ('no checkpoint at', 'gone.pth'),
    ),
    Case(
        'a checkpoint of 0 bytes',
        file('model.pth', b''),
        segment,
        CheckpointError,
        ('model.pth is no checkpoint but empty', 'copy it anew'),
    ),
    Case('a checkpoint cut off', copied, segment, CheckpointError, DAMAGED),
    Case('a text file as checkpoint', file('model.pth', b'no weights\n'), segment, CheckpointError, NOTHING),
    Case(
        'a checkpoint of something else',
        file('model.pth', pickle.dumps([1, 2, 3])),
        segment,
        CheckpointError,
        NOTHING,
    ),
    Case('a checkpoint cut off, to go on from', copied, go_on, CheckpointError, DAMAGED),
    Case(
        'the checkpoint of another model',
        altered(stock),
        segment,
        WeightsError,
        ('no key of', 'model.pth matches TextEncoderDecoder', 'is it another model?'),
    ),
    Case(
        'a checkpoint of the backbone alone',
        altered(only('backbone.')),
        segment,
        WeightsError,
        ('model.pth does not fill TextEncoderDecoder: absent: ', 'Check that the variant'),
    ),
    Case(
        'a checkpoint without one tensor',
        altered(without_a_key),
        segment,
        WeightsError,
        ('model.pth does not fill TextEncoderDecoder: absent: decode_head.conv_seg.weight', 'Check that the variant'),
    ),
    Case(
        'a checkpoint of another width',
        altered(reshaped),
        segment,
        WeightsError,
        (
            'of another shape: decode_head.conv_seg.weight (5, 16, 1, 1) instead of (2, 16, 1, 1)',
            'Check that the variant',
        ),
    ),
    Case(
        "a checkpoint of another vocabulary, with MMSegmentation's tools",
        good,
        another_vocabulary,
        TextEncoderError,
        ('the checkpoint was trained with vocabulary vocab:', 'Load it through tools/test.py'),
    ),
    Case(
        'a pretrained encoder asked of a checkpoint with its own',
        good,
        another_encoder,
        ConfigError,
        ('model.text_encoder.pretrained=bert-base-uncased', 'leave the option out'),
    ),
    Case(
        'initial weights under another prefix',
        good,
        no_prefix,
        WeightsError,
        ("under prefix 'encoder.' matches Linear", 'Is a prefix such as "backbone." missing'),
    ),
    Case(
        'stage-1 weights without the text encoder',
        altered(only('backbone.')),
        stage_one,
        WeightsError,
        ("under prefix 'text_encoder.' matches BertTextEncoder", 'Is a prefix'),
    ),
    Case(
        'initial weights that are not there',
        here,
        initial('backbone', 'gone.pth'),
        SystemExit,
        ('model.backbone weights:', 'gone.pth', 'model.backbone.init_cfg=None'),
    ),
    Case(
        'a text encoder that is neither here nor in reach',
        here,
        encoder_from_the_hub,
        SystemExit,
        (
            "'bert-base-nowhere' is no local folder, not in the cache, and the hub is out of reach",
            'copy a folder with a BERT here',
            'model.text_encoder.pretrained=scratch',
        ),
    ),
]
