"""Sentences, vocabularies and text encoders."""

import json

from bad_annotations import HEAD, bad, table
from bad_input import Case, Place, inferencer
from mmseg.registry import MODELS

from mmseg_textseg.datasets import AnnotationError, TokenizeText, read_expressions
from mmseg_textseg.models import TextEncoderError
from mmseg_textseg.tokenization import TokenizerError, load_tokenizer

VOCAB = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'the', 'lesion', 'آفة']


def nothing(place: Place) -> Place:
    return place


def tokens(text: str) -> list[int]:
    return TokenizeText(dict(vocab=VOCAB), 20)(dict(text=text))['text_ids'].tolist()


def long_sentence(_: Place) -> None:
    ids = tokens('the lesion ' * 1000)
    assert len(ids) == 20
    assert ids == [2, *[5, 6] * 9, 3]


def emoji(path: str) -> None:
    assert read_expressions(path) == ['the lesion 🫁']
    assert tokens('the lesion 🫁')[1:-1] == [5, 6, 1]


def right_to_left(path: str) -> None:
    assert read_expressions(path) == ['آفة the']
    assert tokens('آفة the')[1:-1] == [7, 5]


def no_hub(place: Place) -> None:
    place.patch.setenv('HF_HUB_OFFLINE', '1')


def encoder_without_weights(place: Place) -> str:
    """A BERT folder whose weights are lost."""
    from transformers import BertConfig

    folder = place.folder / 'bert'
    BertConfig(
        vocab_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    ).save_pretrained(folder)
    return str(folder)


def load_encoder(folder: str) -> None:
    MODELS.build(dict(type='BertTextEncoder', pretrained=folder, tokenizer=dict(vocab=VOCAB))).init_weights()


def ask(text: object):
    def run(place: Place) -> None:
        image = next((place.data / 'images').iterdir())
        inferencer(place.config, place.checkpoint)(image, text)

    return run


def surrogate() -> str:
    return json.dumps([dict(image='a.png', expression='the \ud800 lesion')])


CASES = [
    bad(
        'an empty sentence',
        't.csv',
        HEAD + 'a.png,\n',
        "t.csv row 2: 'expression' is empty",
        'expected an expression (or allow_empty_text=True',
    ),
    bad(
        'a sentence of blanks',
        't.csv',
        HEAD + 'a.png," \t\u3000"\n',
        "t.csv row 2: 'expression' is empty",
        'expected an expression',
    ),
    bad(
        'a sentence of zero-width characters',
        't.csv',
        HEAD + 'a.png,\u200b\u200b\n',
        "t.csv row 2: 'expression' is",
        'without a letter',
        'expected an expression',
    ),
    bad(
        'a sentence of emoji alone',
        't.csv',
        HEAD + 'a.png,🫁\n',
        "t.csv row 2: 'expression' is '🫁', without a letter",
        'expected an expression',
    ),
    bad(
        'half of a surrogate pair, as json can write it',
        't.json',
        surrogate(),
        "t.json row 1: 'expression' is",
        'half of a surrogate pair',
        'expected an expression',
    ),
    Case(
        'an emoji in a sentence',
        table('t.csv', HEAD + 'a.png,the lesion 🫁\n'),
        emoji,
        works='Kept; `[UNK]` where the vocabulary has it not.',
    ),
    Case(
        'a sentence from right to left',
        table('t.csv', HEAD + 'a.png,آفة the\n'),
        right_to_left,
        works='Read in its logical order.',
    ),
    Case(
        'a sentence of 10,000 characters',
        nothing,
        long_sentence,
        works='Cut to `max_tokens`; the log says so once and shows its beginning.',
    ),
    Case('an empty sentence to predict', nothing, ask(' '), ValueError, ('text must be a sentence', "got ' '")),
    Case('no sentence to predict', nothing, ask(None), ValueError, ('text must be a sentence', 'got None')),
    Case(
        'a number to predict',
        nothing,
        ask(['the lesion', 7]),
        ValueError,
        ('a list of sentences without empty ones', 'got 7'),
    ),
    Case(
        'a table without one good sentence for a vocabulary',
        table('t.csv', HEAD + 'a.png,\n'),
        lambda path: load_tokenizer(dict(build_from=path)),
        AnnotationError,
        ('t.csv row 2', 'expected an expression'),
    ),
    Case(
        'a vocabulary without the special tokens',
        nothing,
        lambda _: load_tokenizer(dict(vocab=['the'])),
        TokenizerError,
        ('tokenizer vocab needs the entries [PAD]', "missing: ['[PAD]'"),
    ),
    Case(
        'a mistyped option of a tokenizer',
        nothing,
        lambda _: load_tokenizer(dict(build_from='t.csv', mincount=2)),
        TokenizerError,
        ('tokenizer has no option mincount', 'known: build_from, min_count'),
    ),
    Case(
        'the hub is out of reach',
        no_hub,
        lambda _: load_tokenizer('bert-base-uncased-nowhere'),
        TokenizerError,
        (
            "text encoder 'bert-base-uncased-nowhere' is neither a local folder nor to be had from the hub",
            'Give a folder with a BERT',
        ),
    ),
    Case(
        'a BERT folder without weights',
        encoder_without_weights,
        load_encoder,
        TextEncoderError,
        ("bert' are neither a local folder nor", 'Set model.text_encoder.pretrained to a folder with a BERT'),
    ),
]
