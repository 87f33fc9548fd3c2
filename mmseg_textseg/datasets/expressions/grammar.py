"""Claims -> sentences, by the patterns of a template."""

import re
from collections.abc import Mapping


def place_phrase(words: Mapping[str, str], joined: Mapping[str, str]) -> str:
    """``{'horizontal': 'left', 'vertical': 'upper'}`` -> ``'upper left'``."""
    told = ' '.join(words[axis] for axis in ('vertical', 'horizontal') if axis in words)
    return joined.get(told, told)


def lesion_sentence(claim: Mapping[str, str | float], pattern: str, template: Mapping, in_picture: bool) -> str:
    """Say a claim by one pattern of a template; a superlative has its own."""
    if 'superlative' in claim:
        pattern = template['superlatives'][claim['superlative']]
        return finish(fill(pattern, dict(noun=template['noun'], organ=template['organ'])))
    said: dict[str, str] = {}
    axes = {axis: str(claim[axis]) for axis in ('horizontal', 'vertical') if axis in claim}
    if axes:
        said['place_in_picture' if in_picture else 'place'] = place_phrase(axes, template['joined'])
    for name, value in claim.items():
        if name not in axes:
            said[name] = f'{value:g}' if isinstance(value, float) else str(value)
    roles: dict[str, list[str]] = dict(adjective=[], place=[], detail=[])
    for name, entry in template['attributes'].items():
        if name in said:
            phrase = entry['phrase'].replace('{organ}', template['organ']).replace('{}', said[name])
            roles[entry['as']].append(phrase)
    details = [_article(detail) for detail in roles['detail']]
    listed = ', '.join(details[:-1]) + ',' * (len(details) > 2) + ' and ' if len(details) > 1 else ''
    slots = dict(
        lesion=' '.join([*roles['adjective'], template['noun']]),
        lesions=' '.join([*roles['adjective'], template['plural']]),
        place=' '.join(roles['place']),
        details=listed + details[-1] if details else '',
        noun=template['noun'],
        organ=template['organ'],
    )
    return finish(fill(pattern, slots))


def fill(pattern: str, slots: Mapping[str, str]) -> str:
    """Put words into a pattern; a part in [...] goes where one of its slots is empty."""

    def optional(match: re.Match) -> str:
        part = match.group(1)
        return part if all(slots.get(name) for name in re.findall(r'\{(.*?)\}', part)) else ''

    return re.sub(r'\{(.*?)\}', lambda match: slots[match.group(1)], re.sub(r'\[(.*?)\]', optional, pattern))


def _article(text: str) -> str:
    return re.sub(r'\b(a) (?=[aeio])', r'\1n ', text, flags=re.IGNORECASE)


def finish(text: str) -> str:
    """Articles, no comma at an end, a capital first and a full stop last."""
    text = _article(re.sub(r'\s+', ' ', text).strip(' ,'))
    return text[:1].upper() + text[1:] + '.'
