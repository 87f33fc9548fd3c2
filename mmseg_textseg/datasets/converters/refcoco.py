"""RefCOCO, RefCOCO+ and RefCOCOg: referring expressions for objects of COCO.

Kazemzadeh et al. 2014 and Yu et al. 2016 (RefCOCO, RefCOCO+), Mao et al. 2016 (RefCOCOg, split 'google'), Nagaraja et
al. 2016 (RefCOCOg, split 'umd'); all in the form that github.com/lichengunc/refer publishes.
"""

import argparse
import json
import logging
import os
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from .conversion import Conversion, ConversionError
from .safe_pickle import load_plain_pickle

HELP = 'RefCOCO, RefCOCO+, RefCOCOg: refs(*).p and instances.json -> a mask an object, a row a sentence'

# Splits of each, with objects and images as the TensorFlow Datasets catalog counts them (page ref_coco).
PUBLISHED = {
    ('refcoco', 'unc'): dict(train=(42404, 16994), val=(3811, 1500), testA=(1975, 750), testB=(1810, 750)),
    ('refcoco', 'google'): dict(train=(40000, 19213), val=(5000, 4559), test=(5000, 4527)),
    ('refcoco+', 'unc'): dict(train=(42278, 16992), val=(3805, 1500), testA=(1975, 750), testB=(1798, 750)),
    ('refcocog', 'google'): dict(train=(44822, 24698), val=(5000, 4650)),
    ('refcocog', 'umd'): dict(train=(42226, 21899), val=(2573, 1300), test=(5023, 2600)),
}
REF_KEYS = dict(ref_id=int, ann_id=int, image_id=int, category_id=int, split=str, sentences=list)
SENTENCE_KEYS = dict(sent_id=int, sent=str, raw=str)
TABLES = ('images', 'annotations', 'categories')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which of the datasets, and by whose split."""
    parser.add_argument('--dataset', required=True, choices=list(dict.fromkeys(name for name, _ in PUBLISHED)))
    parser.add_argument(
        '--split-by',
        required=True,
        choices=list(dict.fromkeys(by for _, by in PUBLISHED)),
        help='refcoco: unc or google; refcoco+: unc; refcocog: umd or google',
    )
    parser.add_argument(
        '--images', type=Path, metavar='DIR', help="COCO's train2014: check that all images are there; copies none"
    )


@dataclass(frozen=True)
class _Instances:
    """What instances.json holds, each by its id."""

    name: str
    images: dict[int, dict]
    annotations: dict[int, dict]
    categories: dict[int, dict]


def convert(src: Path, conversion: Conversion, args: argparse.Namespace) -> None:
    """Write ``masks/<ann_id>.png`` (0/255) and a jsonl a split, a row a sentence, in the order of the pickle.

    A row is ``{"image", "mask", "expression", "raw", "ref_id", "ann_id", "sent_id", "category", "split"}``.
    ``expression`` is the sentence as its authors cleaned it (``sent``: "lady with back to us"), ``raw`` as it was typed
    ("lady w back to us"). ``image`` is COCO's name of the image, from instances.json: the ``file_name`` of the pickle
    has the number of the object in it, and its authors say to ignore it. Blank sentences are left out and counted.

    Args:
        src: holds ``<dataset>/refs(<split-by>).p`` and ``<dataset>/instances.json``.
        conversion: writes.
        args: of :func:`add_arguments`.

    Raises:
        ConversionError: without pycocotools, for a split that is not published, with all files that are missing, or
            with everything that is wrong in the pickle and with the annotations that it names; then nothing was
            written.
    """
    try:
        from pycocotools import mask as coco_mask
    except ImportError as error:
        raise ConversionError('refcoco', ["needs pycocotools: pip install 'mmseg_textseg[data]'"]) from error
    published = PUBLISHED.get((args.dataset, args.split_by))
    if published is None:
        splits = ' or '.join(by for name, by in PUBLISHED if name == args.dataset)
        raise ConversionError(
            f'--dataset {args.dataset} --split-by {args.split_by}', [f'is not published: set --split-by {splits}']
        )
    refs_file, instances_file = _find(Path(src), args.dataset, f'refs({args.split_by}).p')
    refs = load_plain_pickle(refs_file)
    instances = _read_instances(instances_file)
    _check(refs, instances, published, refs_file)

    tables: dict[str, list[dict]] = {split: [] for split in published}
    blank = []
    for ref in refs:
        for sentence in ref['sentences']:
            if sentence['sent'].strip():
                tables[ref['split']].append(_row(ref, sentence, instances))
            else:
                blank.append(sentence['sent_id'])
    if args.images:
        _check_images(args.images, {row['image'] for rows in tables.values() for row in rows})

    objects = list(dict.fromkeys(ref['ann_id'] for ref in refs))
    for ann_id in conversion.each(objects, unit='mask'):
        annotation = instances.annotations[ann_id]
        image = instances.images[annotation['image_id']]
        draw = partial(_draw, coco_mask, annotation['segmentation'], image['height'], image['width'])
        conversion.write(_mask_name(ann_id), draw, instances_file)
    conversion.count('masks', len(objects))
    for split, rows in tables.items():
        if rows:
            conversion.table(f'{split}.jsonl', rows)
            conversion.count(f'{split} expressions', len(rows))
    if blank:
        conversion.count('blank sentences, left out', len(blank))
        _hint(f'{refs_file}: blank sentences, left out: {len(blank)}, sent_id {reprlib.repr(blank)}')
    _compare(f'{args.dataset} {args.split_by}', refs, published)


def _find(src: Path, dataset: str, refs_name: str) -> tuple[Path, Path]:
    files = src / dataset / refs_name, src / dataset / 'instances.json'
    missing = [file for file in files if not file.is_file()]
    if missing:
        inside = (src / refs_name).is_file()
        mend = f'--src is the folder that holds {dataset}/' + (f': give {src.parent}' if inside else '')
        raise ConversionError(str(src), [f'no {file.relative_to(src)}: {mend}' for file in missing])
    return files


def _read_instances(path: Path) -> _Instances:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ConversionError(str(path), [f'is no JSON ({error}): copy it anew']) from error
    wrong = [key for key in TABLES if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if wrong:
        raise ConversionError(
            str(path), [f"no list {key!r}: expected COCO's instances, as they lie beside the refs" for key in wrong]
        )
    # An entry without an id is no one's: it is missed where something refers to it.
    tables = [
        {entry['id']: entry for entry in content[key] if isinstance(entry, dict) and isinstance(entry.get('id'), int)}
        for key in TABLES
    ]
    return _Instances(path.name, *tables)


def _check(refs: Any, instances: _Instances, splits: dict, path: Path) -> None:
    """Raise one error with everything that is wrong with the refs and what they refer to."""
    if not isinstance(refs, list) or not refs:
        raise ConversionError(str(path), [f'holds {reprlib.repr(refs)}: expected a list of refs'])
    problems = []
    for number, ref in enumerate(refs):
        named = f' (ref_id {reprlib.repr(ref["ref_id"])})' if isinstance(ref, dict) and 'ref_id' in ref else ''
        problems += [f'ref {number}{named}: {fault}' for fault in _ref_faults(ref, instances, splits)]
    if problems:
        raise ConversionError(str(path), problems)


def _key_faults(value: Any, keys: dict[str, type]) -> list[str]:
    if not isinstance(value, dict):
        return [f'is {reprlib.repr(value)}: expected a dict with {", ".join(keys)}']
    return [
        f'{key!r} is {reprlib.repr(value.get(key))}: expected {kind.__name__}'
        for key, kind in keys.items()
        if not isinstance(value.get(key), kind)
    ]


def _ref_faults(ref: Any, instances: _Instances, splits: dict) -> Iterator[str]:
    faults = _key_faults(ref, REF_KEYS)
    if faults:
        yield from faults
        return
    if ref['split'] not in splits:
        yield f"'split' is {reprlib.repr(ref['split'])}: expected {', '.join(splits)}"
    if not ref['sentences']:
        yield "'sentences' is empty: expected at least one"
    for number, sentence in enumerate(ref['sentences']):
        yield from (f'sentence {number}: {fault}' for fault in _key_faults(sentence, SENTENCE_KEYS))
    for key, table in (('image_id', instances.images), ('category_id', instances.categories)):
        if ref[key] not in table:
            yield f'{key!r} is {ref[key]}, which {instances.name} does not have: take both files from one archive'
    if ref['category_id'] in instances.categories:
        yield from _key_faults(instances.categories[ref['category_id']], dict(name=str))
    annotation = instances.annotations.get(ref['ann_id'])
    if annotation is None:
        yield f"'ann_id' is {ref['ann_id']}, which {instances.name} does not have: take both files from one archive"
    elif annotation.get('image_id') != ref['image_id']:
        yield (
            f"'image_id' is {ref['image_id']}, but {instances.name} has annotation {ref['ann_id']} in image "
            f'{reprlib.repr(annotation.get("image_id"))}: take both files from one archive'
        )
    elif ref['image_id'] in instances.images:
        image = instances.images[ref['image_id']]
        faults = _key_faults(image, dict(file_name=str, height=int, width=int))
        faults = [f'image {ref["image_id"]}: {fault}' for fault in faults] or _shape_faults(
            annotation.get('segmentation'), image['height'], image['width']
        )
        yield from (f'{instances.name}: {fault}' for fault in faults)


def _polygons(segmentation: list) -> list[list[float]]:
    """Parts that enclose something; of the others pycocotools would take four numbers for a box."""
    return [part for part in segmentation if len(part) >= 6]


def _shape_faults(segmentation: Any, height: int, width: int) -> list[str]:
    """What would make pycocotools raise, draw something else, or read memory that is not its own."""
    if isinstance(segmentation, dict):
        counts = segmentation.get('counts')
        good = isinstance(counts, list) and all(isinstance(count, int) and count >= 0 for count in counts)
        if segmentation.get('size') == [height, width] and good and sum(counts) == height * width:
            return []
        return [f"'segmentation': expected size [{height}, {width}] and a list of counts with the sum {height * width}"]
    if not isinstance(segmentation, list) or not all(isinstance(part, list) for part in segmentation):
        return [f"'segmentation' is {reprlib.repr(segmentation)}: expected polygons, or a dict with size and counts"]
    far = 10 * (height + width)
    for part in segmentation:
        # The comparison is false for NaN.
        if len(part) % 2 or not all(isinstance(value, (int, float)) and abs(value) <= far for value in part):
            return [f"'segmentation' has the part {reprlib.repr(part)}: expected x, y, x, y, ... in pixels"]
    if not _polygons(segmentation):
        return [f"'segmentation' is {reprlib.repr(segmentation)}: expected a polygon of three points or more"]
    return []


def _draw(coco_mask: Any, segmentation: list | dict, height: int, width: int) -> np.ndarray:
    """Polygons (all parts together) or run lengths -> (H, W) of 0 and 255."""
    if isinstance(segmentation, dict):
        runs = coco_mask.frPyObjects(segmentation, height, width)
    else:
        runs = coco_mask.merge(coco_mask.frPyObjects(_polygons(segmentation), height, width))
    return np.ascontiguousarray(coco_mask.decode(runs)) * 255


def _mask_name(ann_id: int) -> str:
    return f'masks/{ann_id}.png'


def _row(ref: dict, sentence: dict, instances: _Instances) -> dict:
    return dict(
        image=instances.images[ref['image_id']]['file_name'],
        mask=_mask_name(ref['ann_id']).removeprefix('masks/'),
        expression=sentence['sent'].strip(),
        raw=sentence['raw'].strip(),
        ref_id=ref['ref_id'],
        ann_id=ref['ann_id'],
        sent_id=sentence['sent_id'],
        category=instances.categories[ref['category_id']]['name'],
        split=ref['split'],
    )


def _check_images(folder: Path, names: set[str]) -> None:
    if not folder.is_dir():
        raise ConversionError(f'--images {folder}', ["is no folder: give COCO's train2014"])
    missing = sorted(names.difference(os.listdir(folder)))
    if missing:
        raise ConversionError(
            f'--images {folder}',
            [f"{len(missing)} of {len(names)} images are missing: unpack COCO's train2014.zip there", *missing],
        )


def _compare(name: str, refs: list[dict], published: dict[str, tuple[int, int]]) -> None:
    """A hint, no error: people cut subsets."""
    differing = []
    for split, (objects, images) in published.items():
        members = [ref['image_id'] for ref in refs if ref['split'] == split]
        if (len(members), len(set(members))) != (objects, images):
            differing.append(
                f'{split} {len(members):,} in {len(set(members)):,} (published: {objects:,} in {images:,})'
            )
    if differing:
        _hint(f'{name}: objects and images are not as many as published: {"; ".join(differing)}. Right for a subset')


def _hint(message: str) -> None:
    print_log(message, logger='current', level=logging.WARNING)
