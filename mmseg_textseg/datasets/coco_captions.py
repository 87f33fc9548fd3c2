"""COCO captions (Chen et al., "Microsoft COCO Captions", arXiv 1504.00325) -> a table of records."""

import os.path as osp
from typing import Any

from mmengine.logging import print_log

from .annotation_table import AnnotationError, Record, Table


def is_coco(content: Any) -> bool:
    """Whether parsed JSON has the shape of a COCO file rather than of a list of rows."""
    return isinstance(content, dict) and 'images' in content and 'annotations' in content


def read_coco(path: str, content: dict) -> Table:
    """One record an annotation, in the order of ``images`` and, within an image, of the annotations' ids.

    Images without a caption are left out; how many is logged.

    Args:
        path: the file, for messages.
        content: ``{"images": [{"id", "file_name"}, ...], "annotations": [{"id", "image_id", "caption"}, ...]}``;
            further keys are ignored.

    Returns:
        A table with the columns ``image`` (file_name) and ``caption``.

    Raises:
        AnnotationError: if ``images`` or ``annotations`` is no list, or the file holds other annotations than
            captions. What is wrong with single entries goes to ``problems`` of the table.
    """
    wrong = [
        f"{key!r} is a {type(content[key]).__name__}: expected a list of objects, as in COCO's captions_*.json"
        for key in ('images', 'annotations')
        if not isinstance(content[key], list)
    ]
    if wrong:
        raise AnnotationError(path, wrong)
    annotations = content['annotations']
    if annotations and not any(isinstance(item, dict) and 'caption' in item for item in annotations):
        raise AnnotationError(
            path, ["no entry of 'annotations' has a 'caption': use captions_*.json, not instances or keypoints"]
        )

    table = Table(path, ['image', 'caption'], [])
    images = _read_images(path, content['images'], table.problems)
    order = {key: position for position, key in enumerate(images)}
    captions: list[tuple[int, int, Record]] = []
    captioned = set()
    for number, item in enumerate(annotations, start=1):
        source = _source(path, 'annotation', number, item)
        fault = _annotation_fault(item, images)
        if fault:
            table.problems.append(f'{source}: {fault}')
            continue
        captioned.add(item['image_id'])
        name = images[item['image_id']]
        if name is not None:  # else a problem of the image, which is told once
            record = Record(dict(image=name, caption=item['caption']), source)
            captions.append((order[item['image_id']], item['id'], record))
    table.records = [record for _, _, record in sorted(captions, key=lambda entry: entry[:2])]
    bare = len(images) - len(captioned)
    if bare:
        print_log(f'{path}: {bare} of {len(images)} images have no caption and are left out', logger='current')
    return table


def _source(path: str, role: str, number: int, item: Any) -> str:
    """'captions.json annotation 7 (id 49)': its position, from 1, and the id by which an editor finds it."""
    known = isinstance(item, dict) and 'id' in item
    return f'{osp.basename(path)} {role} {number}' + (f' (id {item["id"]})' if known else '')


def _read_images(path: str, items: list, problems: list[str]) -> dict[Any, str | None]:
    """Image id -> file name, ``None`` for one that is a problem."""
    images: dict[Any, str | None] = {}
    for number, item in enumerate(items, start=1):
        source = _source(path, 'image', number, item)
        if not isinstance(item, dict) or not isinstance(item.get('id'), (int, str)):
            problems.append(f"{source}: expected an object with an 'id', a number or a string")
            continue
        if item['id'] in images:
            problems.append(f"{source}: 'id' stands twice among the images: give each its own")
            continue
        name = item.get('file_name')
        good = isinstance(name, str) and name.strip()
        images[item['id']] = name if good else None
        if not good:
            fault = f'is {name!r}' if 'file_name' in item else 'is missing'
            problems.append(f"{source}: 'file_name' {fault}: expected the name of the image file")
    return images


def _annotation_fault(item: Any, images: dict) -> str | None:
    """Why an annotation cannot be a record; what kind of text the caption is, is judged with the other tables'."""
    if not isinstance(item, dict):
        return f'expected an object with named values, found {type(item).__name__}'
    if not isinstance(item.get('id'), int):
        return f"'id' is {item.get('id')!r}: expected a number, by which an image's captions are ordered"
    if 'caption' not in item:
        return "'caption' is missing: expected an expression"
    image_id = item.get('image_id')
    if not isinstance(image_id, (int, str)) or image_id not in images:
        return f"'image_id' is {image_id!r}, which no entry of 'images' has: add the image or mend the id"
    return None
