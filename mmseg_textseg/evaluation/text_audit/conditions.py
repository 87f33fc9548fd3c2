"""What is done to the sentences: each condition is a set of options of ``TextSegDataset``."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...datasets.attribute_words import AttributeWords
from ...datasets.partial_wording import load_wording
from ...datasets.text_lexicon import load_lexicon
from ..errors import EvaluationError

# Options that conditions set; in the full condition they are as here, whatever the config says.
NEUTRAL = dict(partial_text=None, change_text=None, shuffle_text=False, constant_text=False)
WITHOUT = 'without'
MOST_FIELDS = 6


class AuditError(EvaluationError):
    """What cannot be audited; the message says why and how to mend it."""


@dataclass(frozen=True)
class Condition:
    """One way to change sentences.

    Attributes:
        name: on the command line and in files.
        title: in tables and plots.
        kind: ``'full'``; ``'blind'``: nothing of the sentence is left; ``'less'``; ``'other'``: as long, in other words
            or untrue; ``'without'``: one attribute less.
        options: of TextSegDataset.
    """

    name: str
    title: str
    kind: str
    options: dict = field(default_factory=dict)


def make_conditions(partial: Mapping | None = None, lexicon: Mapping | str | None = None) -> list[Condition]:
    """All conditions; which attributes a table has is found by trying them.

    Args:
        partial: ``wording``, ``fields`` and ``seed`` of PartialText.
        lexicon: as in :mod:`mmseg_textseg.datasets.text_lexicon`.
    """
    shared = dict(partial or {}, words=True, lexicon=lexicon)
    reword = dict(type='paraphrase', lexicon=lexicon)
    found = [
        Condition('full', 'full text', 'full'),
        Condition('half', '1/2 of the text', 'less', dict(partial_text=dict(shared, keep=0.5))),
        Condition('quarter', '1/4 of the text', 'less', dict(partial_text=dict(shared, keep=0.25))),
        Condition('empty', 'empty text', 'blind', dict(change_text='empty')),
        Condition('constant', 'one sentence for all', 'blind', dict(constant_text=True)),
        Condition('shuffled', "another image's sentence", 'blind', dict(shuffle_text=True)),
        Condition('contradicted', 'contradicted', 'other', dict(change_text=dict(type='contradict', lexicon=lexicon))),
        Condition('reordered', 'reordered, same words', 'other', dict(change_text=dict(reword, words=False))),
        Condition('paraphrased', 'paraphrased', 'other', dict(change_text=reword)),
    ]
    fields = shared.get('fields') or [f'field {i + 1}' for i in range(MOST_FIELDS)]
    names = (*load_wording(shared.get('wording')), *fields, *AttributeWords(load_lexicon(lexicon)).names)
    for name in dict.fromkeys(names):
        less = dict(partial_text=dict(shared, drop=name))
        found.append(Condition(f'{WITHOUT}:{name}', f'without {name}', WITHOUT, less))
    return found


def select(conditions: Sequence[Condition], names: Iterable[str]) -> list[Condition]:
    """Conditions by name, the full one with them; ``without`` stands for all attributes.

    Raises:
        AuditError: an unknown name.
    """
    names = list(names)
    known = {condition.name for condition in conditions} | {WITHOUT}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise AuditError(
            f'no condition {", ".join(unknown)}; known: {", ".join(c.name for c in conditions)}, {WITHOUT}'
        )
    wanted = {'full', *names}
    return [c for c in conditions if c.name in wanted or (c.kind == WITHOUT and WITHOUT in wanted)]
