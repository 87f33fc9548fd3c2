"""What expressions are made for: pictures with their masks, from two folders or from annotation tables."""

import os
import os.path as osp
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import mmengine.fileio as fileio
import numpy as np

from ..annotation_readers import read_table
from ..annotation_table import AnnotationError, find_column
from ..file_names import PICTURE_EXTENSIONS, Folder
from ..transforms import LoadMask

PICTURES = sorted(PICTURE_EXTENSIONS)  # volumes: tools/convert_dataset.py volume
SPACINGS = ('spacing_mm', 'pixel_spacing_mm')


@dataclass
class Source:
    """One picture.

    Attributes:
        split: the table it is in.
        name: of the image, below its folder.
        image, organ: paths.
        masks: one path, or one a lesion.
        spacing: mm a pixel, ``None`` if unknown.
        columns: further columns of its first row.
    """

    split: str
    name: str
    image: str
    masks: list[str] = field(default_factory=list)
    organ: str | None = None
    spacing: float | None = None
    columns: dict = field(default_factory=dict)


def from_folders(images: str, masks: str, organs: str | None, split: str, spacing: float | None) -> list[Source]:
    """Pictures of a folder, whose masks (and organ masks) have the same name or stem.

    Raises:
        FileNotFoundError: a folder is missing.
        AnnotationError: with every picture that has no mask, or no organ mask.
    """
    folders = [Folder(images, 'image', 'img_path', None), Folder(masks, 'mask', 'seg_map_path', None)]
    folders += [Folder(organs, 'organ mask', 'seg_map_path', None)] if organs else []
    # Not what macOS adds: ._x, __MACOSX.
    paths = sorted(
        path
        for path in Path(images).rglob('*')
        if path.suffix.lower() in PICTURES
        and not any(part.startswith(('.', '__MACOSX')) for part in path.relative_to(images).parts)
    )
    found, problems = [], []
    for path in paths:
        name = path.relative_to(images).as_posix()
        try:
            others = [folder.find(name) for folder in folders[1:]]
            found.append(Source(split, name, str(path), others[:1], others[1] if organs else None, spacing))
        except LookupError as error:
            problems.append(f'{name}: {error.args[0]}')
    if not paths:
        problems.append(f'no pictures in it ({", ".join(PICTURES)})')
    if problems:
        raise AnnotationError(images, problems)
    return found


def from_table(table_file: str, images: str, masks: str, organs: str | None, spacing: float | None) -> list[Source]:
    """Pictures of an annotation table; its expressions, if it has any, are not used.

    Several masks of an image are one lesion each.

    Args:
        table_file: xlsx, csv, json or jsonl with an image column, and a mask column or masks named like the images.
        images, masks, organs: folders.
        spacing: mm a pixel; goes before the table's ``spacing_mm``.

    Raises:
        FileNotFoundError: the table or a folder is missing.
        AnnotationError: with everything wrong with the table.
    """
    table = read_table(table_file)
    problems = list(table.problems)
    image_column = find_column(table, 'image_column', None, problems)
    mask_column = find_column(table, 'mask_column', None, problems, required=False)
    if problems or image_column is None:
        raise AnnotationError(table_file, problems)
    folders = dict(image=Folder(images, 'image', 'img_path', None), mask=Folder(masks, 'mask', 'seg_map_path', None))
    if organs:
        folders['organ mask'] = Folder(organs, 'organ mask', 'seg_map_path', None)
    split = osp.splitext(osp.basename(table_file))[0]
    found: dict[str, Source] = {}
    for record in table.records:
        name, mask = record.values.get(image_column), record.values.get(mask_column or image_column)
        try:
            paths = {}
            for role, folder in folders.items():
                value = mask if role == 'mask' else name
                if not isinstance(value, str) or not value.strip():
                    raise LookupError(f'{role} is {value!r}: expected a file name')
                paths[role] = folder.find(value.strip())
            own = spacing if spacing is not None else _spacing(record.values)
        except (LookupError, ValueError) as error:
            problems.append(f'{record.source}: {error.args[0]}')
            continue
        relative = osp.relpath(paths['image'], images).replace(os.sep, '/')
        columns = {k: v for k, v in record.values.items() if k not in (image_column, mask_column)}
        source = found.setdefault(
            relative, Source(split, relative, paths['image'], [], paths.get('organ mask'), own, columns)
        )
        if paths['mask'] not in source.masks:
            source.masks.append(paths['mask'])
        if source.spacing != own:
            problems.append(f'{record.source}: spacing {own}, but {source.spacing} in an earlier row of {relative}')
    if problems:
        raise AnnotationError(table_file, problems)
    return list(found.values())


def _spacing(values: dict) -> float | None:
    """mm a pixel of a row: a number, or numbers of which the last two are the rows' and columns'."""
    key = next((key for key in SPACINGS if values.get(key) not in (None, '')), None)
    if key is None:
        return None
    value = values[key]
    try:
        numbers = [float(n) for n in (value if isinstance(value, (list, tuple)) else [value])][-2:]
    except (TypeError, ValueError):
        numbers = []
    if not numbers or not all(0 < n < np.inf for n in numbers):
        raise ValueError(f'{key} is {value!r}: expected mm a pixel')
    if max(numbers) > 1.01 * min(numbers):
        raise ValueError(f'{key} is {value!r}: pixels are not square; resample the pictures and masks first')
    return numbers[0]


def read_grey(path: str) -> np.ndarray:
    """(H, W) float32 of a picture of 8 or 16 bits; colours become grey.

    Raises:
        ValueError: it cannot be read.
    """
    content = fileio.get(path)
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if content else None
    if picture is None:
        raise ValueError(f'{path} is not a picture that OpenCV reads: get the file anew')
    return picture.astype(np.float32)


def read_labels(path: str, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) of whole numbers: instance ids, or parts of an organ.

    Raises:
        ValueError: it cannot be read, has colours, or another size than the image.
    """
    values = cv2.imdecode(np.frombuffer(fileio.get(path), np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 2:
        raise ValueError(f'{path}: expected numbers, a grey picture of 8 or 16 bits; save the ids so')
    if values.shape != shape:
        raise ValueError(f'{path} is {values.shape[0]} x {values.shape[1]}, its image {shape[0]} x {shape[1]}')
    return values


def read_lesions(source: Source, instances: bool, shape: tuple[int, int], threshold: float) -> np.ndarray:
    """(H, W) of a picture's masks: instance ids, or 0 and 1; of several masks the number of each.

    Raises:
        ValueError: as :func:`read_labels` and ``LoadMask``; masks that overlap.
    """
    if instances and len(source.masks) == 1:
        return read_labels(source.masks[0], shape)
    values = np.zeros(shape, np.int32)
    for number, path in enumerate(source.masks, start=1):
        results = dict(seg_map_path=path, img_path=source.image, ori_shape=shape)
        mask = LoadMask(threshold).transform(results)['gt_seg_map'] > 0
        if values[mask].any():
            raise ValueError(f'{path} overlaps another mask of {source.name}: several masks must be one lesion each')
        values[mask] = number
    return values
