"""Words with opposites, synonyms and words of attributes, beside those of directions (:mod:`.direction_lexicon`).

A lexicon of one's own is a dict in the config, or a yaml or json file, with some of the sections ``opposites``,
``synonyms`` and ``attributes``, each of which takes the place of the one here. Phrases are compared as whole words, in
any case. ``*`` stands for any word part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..fileio import load_plain

# Read both ways; of a word in several pairs the first counts.
OPPOSITES = (
    ('largest', 'smallest'),
    ('larger', 'smaller'),
    ('large', 'small'),
    ('biggest', 'smallest'),
    ('big', 'small'),
    ('huge', 'tiny'),
    ('medium', 'large'),
    ('medium-sized', 'large'),
    ('round', 'irregular'),
    ('oval', 'irregular'),
    ('lobulated', 'round'),
    ('regular', 'irregular'),
    ('smooth', 'irregular'),
    ('regular-shaped', 'irregular-shaped'),
    ('circle-shaped', 'square-shaped'),
    ('oval-shaped', 'square-shaped'),
    ('star-shaped', 'circle-shaped'),
    ('heart-shaped', 'circle-shaped'),
    ('clear', 'blurred'),
    ('sharp', 'blurred'),
    ('distinct', 'indistinct'),
    ('well-defined', 'ill-defined'),
    ('dark', 'bright'),
    ('darker', 'brighter'),
    ('darkest', 'brightest'),
    ('hypodense', 'hyperdense'),
    ('hypoechoic', 'hyperechoic'),
    ('hypointense', 'hyperintense'),
    ('ring-enhancing', 'dark'),
    ('no enhancement', 'homogeneous enhancement'),
    ('ring enhancement', 'no enhancement'),
    ('non-enhancing', 'enhancing'),
    ('benign', 'malignant'),
    ('cyst', 'metastasis'),
    ('cysts', 'metastases'),
    ('hemangioma', 'cyst'),
    ('hepatocellular carcinoma', 'cyst'),
    ('focal nodular hyperplasia', 'cyst'),
    ('bilateral', 'unilateral'),
    ('solitary', 'multiple'),
    ('evenly', 'irregularly'),
    ('sparsely', 'densely'),
    ('sparse', 'dense'),
    # Couinaud's segments of the liver, across its middle at the same height.
    ('segment I', 'segment VIII'),
    ('segment II', 'segment VII'),
    ('segment III', 'segment VI'),
    ('segment IV', 'segment V'),
)

# Each group means the same in the sentences of these datasets.
SYNONYMS = (
    ('lesion', 'mass'),
    ('lesions', 'masses'),
    ('tumor', 'neoplasm'),
    ('tumors', 'neoplasms'),
    ('largest', 'biggest'),
    ('large', 'big'),
    ('smallest', 'tiniest'),
    ('small', 'little'),
    ('medium', 'medium-sized'),
    ('round shape', 'circular shape'),
    ('oval shape', 'elliptical shape'),
    ('circle-shaped', 'round'),
    ('oval-shaped', 'oval'),
    ('clear boundary', 'well-defined boundary', 'sharp boundary'),
    ('blurred boundary', 'ill-defined boundary', 'indistinct boundary'),
    ('homogeneous enhancement', 'uniform enhancement'),
    ('ring enhancement', 'rim enhancement'),
    ('ring-enhancing', 'rim-enhancing'),
    ('infected areas', 'infected regions'),
    ('infected area', 'infected region'),
    ('pulmonary infection', 'lung infection'),
    ('evenly', 'uniformly'),
    ('irregularly', 'unevenly'),
    ('sparsely', 'thinly'),
    ('nuclei', 'cell nuclei'),
    ('image', 'picture'),
)

# What can be left out of a sentence, beside words of directions (side, height, center).
ATTRIBUTES = {
    'number': (
        *('one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'single', 'solitary'),
        *('multiple', 'several', 'bilateral', 'unilateral'),
    ),
    'size': (
        *('largest', 'larger', 'large', 'biggest', 'bigger', 'big', 'huge', 'smallest', 'smaller', 'small', 'tiny'),
        *('little', 'medium', 'medium-sized'),
    ),
    'shape': ('round', 'oval', 'irregular', 'regular', 'lobulated', 'smooth', '*-shaped'),
    'boundary': ('clear', 'blurred', 'sharp', 'distinct', 'indistinct', 'well-defined', 'ill-defined'),
    'brightness': (
        *('dark', 'darker', 'darkest', 'bright', 'brighter', 'brightest', 'hypodense', 'isodense', 'hyperdense'),
        *('hypoechoic', 'isoechoic', 'hyperechoic', 'hypointense', 'isointense', 'hyperintense'),
        *('ring-enhancing', 'non-enhancing'),
    ),
    'type': ('benign', 'malignant'),
    'spread': ('evenly', 'irregularly', 'sparsely', 'densely'),
}


class LexiconError(ValueError):
    """A lexicon that cannot be used; the message names file, section and entry."""


@dataclass(frozen=True)
class Lexicon:
    """Words with opposites, words that mean the same, and words of attributes.

    Attributes:
        opposites: word in lower case -> its opposite.
        synonyms: word in lower case -> the others of its group.
        attributes: name -> words.
    """

    opposites: dict[str, str]
    synonyms: dict[str, tuple[str, ...]]
    attributes: dict[str, tuple[str, ...]]


def load_lexicon(source: str | Mapping | None = None) -> Lexicon:
    """A lexicon; sections that ``source`` lacks are those of this module.

    Args:
        source: path of a yaml or json file, or a mapping: ``opposites``, a list of pairs; ``synonyms``, a list of
            lists; ``attributes``, name -> list.

    Raises:
        FileNotFoundError: no such file.
        LexiconError: naming section and entry that is not as expected.
    """
    where = source if isinstance(source, str) else 'lexicon'
    given = _read(source) if isinstance(source, str) else {} if source is None else source
    if not isinstance(given, Mapping) or set(given) - {'opposites', 'synonyms', 'attributes'}:
        found = ', '.join(map(str, given)) if isinstance(given, Mapping) else f'a {type(given).__name__}'
        raise LexiconError(
            f'{where}: expected the sections opposites, synonyms, attributes or some of them, got {found}'
        )
    pairs = _groups(given.get('opposites', OPPOSITES), f'{where}: opposites', exactly=2)
    opposites: dict[str, str] = {}
    for one, other in pairs:
        opposites.setdefault(one.lower(), other)
        opposites.setdefault(other.lower(), one)
    synonyms: dict[str, tuple[str, ...]] = {}
    for group in _groups(given.get('synonyms', SYNONYMS), f'{where}: synonyms'):
        for word in group:
            synonyms.setdefault(word.lower(), tuple(other for other in group if other != word))
    attributes = given.get('attributes', ATTRIBUTES)
    if not isinstance(attributes, Mapping):
        raise LexiconError(f'{where}: attributes is {attributes!r}; expected name: [word, ...]')
    words = {name: _words(entry, f'{where}: attributes, {name}') for name, entry in attributes.items()}
    return Lexicon(opposites, synonyms, words)


def read_lexicon(path: str) -> Mapping:
    """What a lexicon file says, checked; errors as those of :func:`load_lexicon`."""
    load_lexicon(path)
    return _read(path)


def _read(path: str) -> Any:
    if not Path(path).is_file():
        raise FileNotFoundError(f'no lexicon at {path}')
    try:
        return load_plain(path)
    except Exception as error:  # the parsers and mmengine have no error in common
        raise LexiconError(f'{path}: expected a yaml or json file ({error})') from error


def _groups(entries: object, where: str, exactly: int | None = None) -> list[tuple[str, ...]]:
    if isinstance(entries, (str, Mapping)) or not hasattr(entries, '__iter__'):
        raise LexiconError(f'{where} is {entries!r}; expected a list of lists of words')
    groups = [_words(entry, where) for entry in entries]
    for group in groups:
        if len(set(group)) != len(group) or len(group) != (exactly or max(2, len(group))):
            raise LexiconError(f'{where}: {list(group)}; expected {exactly or "at least two"} different words')
    return groups


def _words(entry: object, where: str) -> tuple[str, ...]:
    # An unquoted 'no' is False in yaml.
    if not isinstance(entry, (list, tuple)) or not entry or not all(isinstance(w, str) and w.strip() for w in entry):
        raise LexiconError(f'{where}: {entry!r}; expected a list of words (in yaml, quote yes, no, on and off)')
    return tuple(' '.join(word.split()) for word in entry)
