"""The readable file that says which words and sentences are made (``templates/``)."""

import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from ...fileio import load_plain

TEMPLATES = Path(__file__).with_name('templates')
UNITS = ('lesion', 'picture')
PLACES = ('horizontal', 'vertical', 'horizontal_in_picture', 'vertical_in_picture')
MEASURES = {
    'lesion': (*PLACES, 'size_mm', 'size_share', 'solidity', 'axis_ratio', 'boundary', 'density'),
    'picture': (*PLACES, 'number', 'cover', 'unevenness'),
}
KEYS = {
    'lesion': (
        *('unit', 'noun', 'plural', 'organ', 'measures', 'shape_from_diameter', 'boundary_from_diameter'),
        'boundary_without_organ',
        *(
            'segments',
            'lobes',
            'attributes',
            'joined',
            'full',
            'partial',
            'partials_per_lesion',
            'patterns',
            'superlatives',
        ),
        *('superlative_ratio', 'superlative_distance'),
    ),
    'picture': ('unit', 'noun', 'plural', 'organ', 'measures', 'dense_from', 'numbers', 'joined', 'fields', 'spread'),
}
ROLES = ('adjective', 'place', 'detail')
ATTRIBUTES = (
    *('density', 'size', 'segment', 'side', 'place', 'place_in_picture', 'diameter_mm', 'shape'),
    'boundary',
)
CHOICES = ('segment', 'side', 'place', 'size', 'shape', 'boundary', 'density', 'diameter')
SUPERLATIVES = ('largest', 'smallest', 'leftmost', 'rightmost', 'uppermost', 'lowermost')
SPREADS = ('one', 'one side', 'both sides', 'sparse', 'even', 'uneven')
SLOTS = {
    'patterns': ('lesion', 'lesions', 'place', 'details', 'noun', 'organ'),
    'fields': ('spread', 'noun', 'number', 'where', 'organ'),
}


class TemplateError(ValueError):
    """A template file that cannot be used: the file, each key, what was expected."""

    def __init__(self, path: str, problems: list[str]) -> None:
        super().__init__(path, problems)
        self.path, self.problems = path, problems

    def __str__(self) -> str:
        return '\n'.join([f'template {self.path}:', *(f'  {problem}' for problem in self.problems)])


def load_template(style: str, changes: Mapping[str, Any] | None = None) -> dict:
    """Read and check a template.

    Args:
        style: ``'lvit'``, ``'refhl'``, or a yaml or json file.
        changes: entries to set, by dotted keys: ``{'measures.density.words': ['dark', 'grey', 'bright']}``.

    Raises:
        TemplateError: with everything that is wrong in it.
    """
    shipped = sorted(path.stem for path in TEMPLATES.glob('*.yaml'))
    path = str(TEMPLATES / f'{style}.yaml') if style in shipped else style
    if not Path(path).is_file():
        raise TemplateError(style, [f'no such file; shipped styles are {", ".join(shipped)}'])
    if Path(path).suffix not in ('.yaml', '.yml', '.json'):
        raise TemplateError(style, ['expected a .yaml, .yml or .json file'])
    try:
        template = load_plain(path)
    except ValueError as error:
        raise TemplateError(path, [str(error)]) from error
    if not isinstance(template, dict):
        raise TemplateError(path, ['expected keys and values, such as "unit: lesion"'])
    template, problems = deepcopy(template), []
    for key, value in (changes or {}).items():
        _set(template, key, value, problems)
    problems = problems or _check(template)
    if problems:
        raise TemplateError(path, problems)
    return template


def _set(template: dict, dotted: str, value: Any, problems: list[str]) -> None:
    *above, last = dotted.split('.')
    entry: Any = template
    for key in above:
        entry = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or last not in entry:
        known = ', '.join(map(str, entry)) if isinstance(entry, dict) else ', '.join(template)
        problems.append(f'--set {dotted}: no such key; there are {known}')
    else:
        entry[last] = value


def _check(template: dict) -> list[str]:
    unit = template.get('unit')
    if unit not in UNITS:
        return [f'unit is {unit!r}: expected {" or ".join(UNITS)}']
    problems = [f'{key}: missing' for key in KEYS[unit] if key not in template]
    problems += [f'{key}: unknown; there are {", ".join(KEYS[unit])}' for key in template if key not in KEYS[unit]]
    if problems:
        return problems
    for key in ('noun', 'plural', 'organ'):
        if not isinstance(template[key], str) or not template[key].strip():
            problems.append(f'{key} is {template[key]!r}: expected a word')
    _check_measures(template['measures'], MEASURES[unit], problems)
    _check_words(template, 'joined', None, problems)
    if unit == 'lesion':
        _check_lesion(template, problems)
    else:
        _check_picture(template, problems)
    return problems


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_measures(measures: Any, names: tuple[str, ...], problems: list[str]) -> None:
    if not isinstance(measures, dict) or set(measures) != set(names):
        problems.append(f'measures: expected exactly {", ".join(names)}')
        return
    for name, entry in measures.items():
        where = f'measures.{name}'
        if not isinstance(entry, dict) or not {'edges', 'words'} <= set(entry):
            problems.append(f'{where}: expected edges, words and margin or margin_share')
            continue
        edges, words = entry['edges'], entry['words']
        margin = entry.get('margin', entry.get('margin_share'))
        if set(entry) - {'edges', 'words', 'margin', 'margin_share'} or margin is None or len(entry) != 3:
            problems.append(f'{where}: expected edges, words, and margin or margin_share, got {", ".join(entry)}')
        elif not _is_number(margin) or margin < 0:
            problems.append(f'{where}: the margin is {margin!r}: expected a number of 0 or more')
        if not isinstance(edges, list) or not all(map(_is_number, edges)) or sorted(set(edges)) != edges or not edges:
            problems.append(f'{where}.edges is {edges!r}: expected a list of rising numbers')
        elif not isinstance(words, list) or len(words) != len(edges) + 1 or not all(isinstance(w, str) for w in words):
            problems.append(f'{where}.words is {words!r}: expected {len(edges) + 1} words, one more than edges')
        elif len(set(words)) < len(words):
            problems.append(f'{where}.words is {words!r}: expected a different word for each range')


def _check_words(template: dict, key: str, names: tuple[str, ...] | None, problems: list[str]) -> None:
    entry = template[key]
    if not isinstance(entry, dict) or not all(isinstance(v, str) for pair in entry.items() for v in pair):
        problems.append(f'{key}: expected words by name')
    elif names is not None and set(entry) - set(names):
        problems.append(f'{key}: {", ".join(set(entry) - set(names))} is unknown; there are {", ".join(names)}')


def _check_lesion(template: dict, problems: list[str]) -> None:
    leasts = dict(superlative_ratio=1, superlative_distance=0, shape_from_diameter=0, boundary_from_diameter=0)
    for key, least in leasts.items():
        if not _is_number(template[key]) or template[key] < least:
            problems.append(f'{key} is {template[key]!r}: expected a number of at least {least}')
    number = template['partials_per_lesion']
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        problems.append(f'partials_per_lesion is {number!r}: expected a whole number of 0 or more')
    if not isinstance(template['boundary_without_organ'], bool):
        problems.append(f'boundary_without_organ is {template["boundary_without_organ"]!r}: expected true or false')
    for key in ('full', 'partial'):
        value = template[key]
        if not isinstance(value, list) or set(map(str, value)) - set(CHOICES):
            problems.append(f'{key} is {value!r}: expected a list of {", ".join(CHOICES)}')
    segments, lobes = template['segments'], template['lobes']
    try:
        template['segments'] = {int(value): str(name) for value, name in segments.items()}  # json has no number keys
    except (AttributeError, TypeError, ValueError):
        problems.append(f'segments is {segments!r}: expected names by the values of the organ mask')
        segments = {}
    known = set(map(str, segments.values()))
    if not isinstance(lobes, dict) or not all(isinstance(v, list) and set(v) <= known for v in lobes.values()):
        problems.append(f'lobes is {lobes!r}: expected lists of the names in segments, by lobe')
    attributes = template['attributes']
    if not isinstance(attributes, dict) or set(attributes) != set(ATTRIBUTES):
        problems.append(f'attributes: expected exactly {", ".join(ATTRIBUTES)}')
    else:
        for name, entry in attributes.items():
            if not isinstance(entry, dict) or entry.get('as') not in ROLES:
                problems.append(f'attributes.{name}: expected as: {", ".join(ROLES)}, and a phrase')
            elif not isinstance(entry.get('phrase'), str) or '{}' not in entry['phrase']:
                problems.append(f'attributes.{name}.phrase is {entry.get("phrase")!r}: expected {{}} for the word')
            elif set(re.findall(r'\{(.*?)\}', entry['phrase'])) - {'', 'organ'}:
                problems.append(
                    f'attributes.{name}.phrase is {entry["phrase"]!r}: expected no slots but {{}}, {{organ}}'
                )
        for name in ('segment', 'side', 'place', 'place_in_picture'):
            if isinstance(attributes[name], dict) and attributes[name].get('as') in ('adjective', 'detail'):
                problems.append(f'attributes.{name}.as is {attributes[name]["as"]!r}: expected place')
    _check_sentences(template, 'patterns', ('one', 'several', 'empty'), problems)
    _check_words(template, 'superlatives', SUPERLATIVES, problems)


def _check_picture(template: dict, problems: list[str]) -> None:
    most = template['dense_from']
    numbers = template['numbers']
    if not isinstance(most, int) or most < 1:
        problems.append(f'dense_from is {most!r}: expected a whole number of 1 or more')
    elif not isinstance(numbers, list) or len(numbers) < most - 1 or not all(isinstance(n, str) for n in numbers):
        problems.append(f'numbers: expected the words of 1 to {most - 1}, since dense_from is {most}')
    _check_sentences(template, 'fields', ('few', 'dense', 'empty'), problems)
    _check_words(template, 'spread', SPREADS, problems)


def _check_sentences(template: dict, key: str, names: tuple[str, ...], problems: list[str]) -> None:
    entry = template[key]
    if not isinstance(entry, dict) or set(entry) != set(names):
        problems.append(f'{key}: expected exactly {", ".join(names)}')
        return
    for name, sentences in entry.items():
        if not isinstance(sentences, list) or not sentences or not all(isinstance(s, str) for s in sentences):
            problems.append(f'{key}.{name}: expected a list of sentences')
            continue
        for sentence in sentences:
            where = f'{key}.{name} {sentence!r}'
            unknown = set(re.findall(r'\{(.*?)\}', sentence)) - set(SLOTS[key])
            if unknown:
                problems.append(f'{where}: no slot {", ".join(unknown)}; there are {", ".join(SLOTS[key])}')
            if re.sub(r'\[[^\[\]]*\]', '', sentence).count('[') or sentence.count('[') != sentence.count(']'):
                problems.append(f'{where}: expected [ and ] in pairs, none inside another')
            if (
                key == 'patterns'
                and name == 'one'
                and not {'lesion', 'place', 'details'} <= set(re.findall(r'\{(.*?)\}', sentence))
            ):
                problems.append(f'{where}: expected {{lesion}}, {{place}} and {{details}}, or what it says is lost')
