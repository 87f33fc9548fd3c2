"""Pictures and their masks -> a referring dataset: images, a mask a lesion or group of lesions, and a jsonl a split."""

import hashlib
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from ..annotation_table import COLUMN_NAMES
from ..converters.conversion import Conversion, ConversionError
from ..converters.pairs import noting
from ..file_names import split_name
from .attributes import Attributes, describe
from .grammar import fill, finish, lesion_sentence, place_phrase
from .lesions import Lesion, label_mask, measure_lesions
from .picture import picture_sentence
from .sources import Source, read_grey, read_labels, read_lesions
from .unique import AXES, draw, fitting, full_claim, none_claims, partial_claims, several_claims

ALSO = ('several', 'none')
# RefHL-Seg's columns come first, whatever is known of them: RefHLSegDataset and PartialText read them.
COLUMNS = (
    *('segment', 'side', 'place', 'size', 'diameter_mm', 'diameter_px', 'shape', 'boundary', 'density'),
    *('enhancement', 'type'),
)


def write_expressions(
    sources: Sequence[Source],
    template: Mapping,
    conversion: Conversion,
    *,
    instances: bool = False,
    organ_labels: bool = False,
    min_area: int = 20,
    also: Sequence[str] = (),
    seed: int = 0,
    threshold: float = 1,
) -> dict[str, list[dict]]:
    """Make and write the expressions of all pictures.

    Args:
        sources: the pictures.
        template: of :func:`load_template`.
        conversion: writes; counts what was made and what was not.
        instances: masks hold instance ids.
        organ_labels: organ masks hold numbers of ``template['segments']``.
        min_area: pixels; smaller lesions get no expression of their own.
        also: ``'several'``, ``'none'``.
        seed: decides, with the name of the picture, what is drawn.
        threshold: least value of the foreground of a mask.

    Returns:
        The rows by split, as written.

    Raises:
        ConversionError: with everything that cannot be read; no table is written then.
    """
    tables: dict[str, list[dict]] = {source.split: [] for source in sources}
    problems: list[str] = []
    for source in conversion.each(sources):
        with noting(problems):
            image = read_grey(source.image)
            labels = label_mask(
                read_lesions(source, instances, image.shape, threshold), instances or len(source.masks) > 1
            )
            organ, parts = _read_organ(source, organ_labels, template, image.shape)
            of_lesions = template['unit'] == 'lesion'
            lesions = measure_lesions(labels, image, organ, min_area, appearance=of_lesions)
            rng = np.random.default_rng([seed, zlib.crc32(source.name.encode())])
            if of_lesions:
                made = describe(lesions, template, organ, parts, source.spacing)
                rows = _lesion_rows(lesions, made, template, organ is None, also, rng, conversion)
            else:
                rows = _picture_rows(lesions, template, organ, also)
            if not rows:
                conversion.count('pictures without an expression, left out')
                continue
            conversion.copy(f'images/{source.name}', source.image)
            for row in rows:
                row['mask'] = _write_mask(conversion, source, labels, row, of_lesions)
                row['image'] = source.name
            tables[source.split] += [_ordered(row, source, lesions) for row in rows]
    if problems:
        raise ConversionError('make_expressions', problems)
    if template['unit'] == 'lesion':
        wording = partial_wording(template, all(source.organ is None for source in sources))
        conversion.put('wording.json', (json.dumps(wording, indent=1, ensure_ascii=False) + '\n').encode())
    for split, rows in tables.items():
        if not rows:
            raise ConversionError(
                'make_expressions', [f'no expression could be made for {split}: look at the masks and --min-area']
            )
        conversion.table(f'{split}.jsonl', rows)
        for row in rows:
            conversion.count(f'{split} expressions that fit {row["fits"]}')
        conversion.count(f'{split} images', len({row['image'] for row in rows}))
    return tables


def _read_organ(source: Source, labelled: bool, template: Mapping, shape: tuple) -> tuple:
    """(H, W) bool of the organ, and (H, W) of its parts; ``None`` where there is none."""
    if source.organ is None:
        return None, None
    values = read_labels(source.organ, shape)
    if not labelled:
        return values > 0, None
    unknown = set(np.unique(values).tolist()) - {0, *template['segments']}
    if unknown:
        raise ValueError(
            f"{source.organ} holds {sorted(unknown)}, which the template's segments do not name: add them there"
        )
    return values > 0, values


def _lesion_rows(lesions, made: list[Attributes], template, in_picture, also, rng, conversion) -> list[dict]:
    rows: list[dict] = []

    def add(claim: Mapping, fits: str, which: list[int], kind: str, pattern: str) -> None:
        pattern = template['patterns'][pattern][int(rng.integers(len(template['patterns'][pattern])))]
        text = lesion_sentence(claim, pattern, template, in_picture)
        if text not in {row['expression'] for row in rows}:
            said = _said(lesions[which[0]], made[which[0]], claim) if fits == 'one' else claim
            row = dict(expression=text, kind=kind, fits=fits, lesions=which, said=sorted(claim))
            rows.append(row | _columns(said, template))

    for index, attributes in enumerate(made):
        if lesions[index].is_small:
            conversion.count('lesions below --min-area, without an expression')
            continue
        before = len(rows)
        full = full_claim(attributes, template, in_picture)
        if full and fitting(full, made) == [index]:
            add(full, 'one', [index], 'full', 'one')
        groups = partial_claims(index, made, template, in_picture)
        claims = [claim for group in groups for claim in draw(group, len(group), rng) if claim != full]
        for claim in claims[: template['partials_per_lesion']]:
            add(claim, 'one', [index], 'partial', 'one')
        for word in draw(sorted(attributes.superlatives & set(template['superlatives'])), 1, rng):
            add({'superlative': word}, 'one', [index], 'superlative', 'one')
        if len(rows) == before:
            conversion.count('lesions that nothing tells from others, without an expression')
    if 'several' in also:
        for claim, group in draw(several_claims(made, template, in_picture), 2, rng):
            add(claim, 'several', group, 'several', 'several')
    if 'none' in also and lesions:
        for claim in draw(none_claims(made, template, in_picture), 1, rng):
            add(claim, 'none', [], 'none', 'one')
    if 'none' in also and not lesions:
        text = finish(fill(template['patterns']['empty'][0], dict(lesion=template['noun'], organ=template['organ'])))
        rows.append(dict(expression=text, kind='none', fits='none', lesions=[], said=[], **_columns({}, template)))
    return rows


def _said(lesion: Lesion, attributes: Attributes, claim: Mapping) -> dict:
    """What is certain of a lesion; of its place what the sentence says, where it says one."""
    sure = attributes.sure()
    if set(AXES) & set(claim):
        sure = {name: value for name, value in sure.items() if name not in AXES or name in claim}
    whole = not (lesion.is_cut or lesion.is_small)
    return sure | dict(diameter_px=round(lesion.diameter) if whole else None)


def partial_wording(template: Mapping, in_picture: bool) -> dict[str, dict[str, str]]:
    """The template's phrases by column, as ``PartialText`` takes them; of unit lesion."""
    found = {'type': {'as': 'noun', 'phrase': '{}'}}
    for name, entry in template['attributes'].items():
        if name == ('place' if in_picture else 'place_in_picture'):
            continue
        column = 'place' if name == 'place_in_picture' else name
        found[column] = {'as': entry['as'], 'phrase': entry['phrase'].replace('{organ}', template['organ'])}
    return found


def _columns(said: Mapping, template: Mapping) -> dict:
    axes = {axis: str(said[axis]) for axis in AXES if axis in said}
    values = {**said, 'place': place_phrase(axes, template['joined']) or None}
    # "lesion" is what PartialText says where no type is known.
    values['type'] = None if template['noun'] == 'lesion' else template['noun']
    return {name: values.get(name) for name in COLUMNS}


def _picture_rows(lesions: Sequence[Lesion], template, organ, also) -> list[dict]:
    counted = [lesion for lesion in lesions if not lesion.is_small]
    if not counted and (lesions or 'none' not in also):
        return []
    text, columns = picture_sentence(counted, template, organ)
    fits = 'none' if not counted else 'one' if len(counted) == 1 else 'several'
    return [dict(expression=text, kind='picture', fits=fits, lesions=[*range(len(lesions))], **columns)]


def _write_mask(conversion: Conversion, source: Source, labels: np.ndarray, row: dict, of_lesions: bool) -> str:
    below, stem, _ = split_name(source.name)
    numbers = [index + 1 for index in row['lesions']]
    # The name says which lesions are in it, so that a file of an earlier run is never another group's.
    ids = '-'.join(map(str, numbers))
    ids = ids if len(ids) < 60 else hashlib.sha1(ids.encode(), usedforsecurity=False).hexdigest()[:12]
    name = f'{stem}_l{ids}.png' if of_lesions and numbers else f'{stem}_none.png' if of_lesions else f'{stem}.png'
    name = f'{below}/{name}' if below else name
    if f'masks/{name}' not in conversion.files:
        sources = [path for path in (source.image, *source.masks, source.organ) if path]
        conversion.write(f'masks/{name}', partial(_mask, labels, numbers), *sources)
    return name


def _mask(labels: np.ndarray, numbers: list[int]) -> np.ndarray:
    return np.isin(labels, numbers).astype(np.uint8) * 255


def _ordered(row: dict, source: Source, lesions: Sequence[Lesion]) -> dict:
    """The columns of a row, with what was measured of its lesion, and those of the source that are not ours."""
    which = row.pop('lesions')
    measured: dict = dict(lesions=[lesions[i].number for i in which])
    measured['count'] = row.pop('count', len(lesions))
    if len(which) == 1 and 'said' in row:
        lesion = lesions[which[0]]
        numbers = dict(
            area_px=lesion.area,
            feret_px=lesion.diameter,
            solidity=lesion.solidity,
            axis_ratio=lesion.axis_ratio,
            edge_width_px=lesion.edge_width,
            contrast=lesion.contrast,
        )
        measured |= {name: None if math.isnan(value) else round(value, 3) for name, value in numbers.items()}
    first = dict(
        case_id=str(source.columns.get('case_id') or split_name(source.name)[1]),
        image=row.pop('image'),
        mask=row.pop('mask'),
    )
    ours = first | row | measured | dict(spacing_mm=source.spacing)
    return ours | {
        key: value
        for key, value in source.columns.items()
        if key not in ours and key.lower() not in COLUMN_NAMES['text_column']
    }
