"""How a kept attribute is said in a shortened sentence: its phrase, and the role of the phrase."""

import os
from collections.abc import Mapping
from typing import NamedTuple

from ..fileio import load_plain

ROLES = ('noun', 'adjective', 'place', 'detail')  # "a large" adjective, noun, place, "with" details


class Phrase(NamedTuple):
    """Where in the sentence, and the words with ``{}`` for the value."""

    role: str
    words: str


# RefHL-Seg's rows.
WORDING = {
    'type': Phrase('noun', '{}'),
    'segment': Phrase('place', 'in segment {} of the liver'),
    'side': Phrase('place', 'in the {} lobe of the liver'),
    'diameter_mm': Phrase('detail', 'a diameter of {} mm'),
    'shape': Phrase('detail', 'a {} shape'),
    'boundary': Phrase('detail', 'a {} boundary'),
    'enhancement': Phrase('detail', '{}'),
}


def load_wording(wording: str | os.PathLike | Mapping | None) -> dict[str, Phrase]:
    """Read and check a wording.

    Args:
        wording: attribute -> phrase, or -> ``{'as': role, 'phrase': phrase}``; a phrase alone has the role that its
            attribute has in ``WORDING``, and is a detail where it has none there. A path: a json or yaml file of that,
            such as the ``wording.json`` that ``tools/make_expressions.py`` writes. ``None``: ``WORDING``.

    Raises:
        ValueError: not so; the message names the attribute.
        FileNotFoundError: no such file.
    """
    if wording is None:
        return dict(WORDING)
    entries = wording if isinstance(wording, Mapping) else load_plain(wording)
    if not isinstance(entries, Mapping):
        raise ValueError(f'wording {wording}: expected phrases by attribute')
    found, silent = {}, []
    for name, entry in entries.items():
        role = WORDING[name].role if name in WORDING else 'detail'
        if isinstance(entry, Mapping):
            role, entry = entry.get('as'), entry.get('phrase')
        if role not in ROLES or not isinstance(entry, str):
            raise ValueError(f'wording of {name}: expected a phrase, or as: {", ".join(ROLES)}, and phrase')
        if '{}' not in entry:
            silent.append(name)
        found[name] = Phrase(role, entry)
    if silent:
        raise ValueError(f'wording of {", ".join(silent)} has no {{}} for the value')
    return found
