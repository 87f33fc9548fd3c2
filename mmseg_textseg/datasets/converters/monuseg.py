"""MoNuSeg: stained nuclei, outlined in Aperio ImageScope (Kumar et al. 2017, 2020), as the challenge publishes it.

--src holds, at any depth, either or both:
  MoNuSeg 2018 Training Data/{Tissue Images/*.tif,Annotations/*.xml}
  MoNuSegTestData/*.tif, *.xml                                          a folder with "test" in its name is the test set

The layout of LViT (img/, labelcol/) needs no conversion.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from .conversion import Conversion, ConversionError
from .pairs import (
    add_sentences_argument,
    files_below,
    join_sentences,
    noting,
    read_picture,
    read_sentences,
    write_tables,
)

HELP = 'MoNuSeg: outlines in xml and tif images -> masks of 0/255 and of numbered nuclei, as png'

IMAGE_ENDINGS = ('.tif', '.tiff')
MOST_NUCLEI = np.iinfo(np.uint16).max


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sentences, e.g. those of LViT."""
    add_sentences_argument(parser)


def convert(src: Path, conversion: Conversion, args: argparse.Namespace) -> None:
    """Write ``images/``, ``masks/`` (0/255), ``instances/`` (16 bit, nuclei from 1) and a jsonl a split.

    Where nuclei overlap, a pixel belongs to the one that stands first in the file, as in the MATLAB script of the
    organisers. Nuclei of which no pixel is left, since others cover them or they lie beside the image, are counted.

    Splits are train and test, or those of ``--sentences``. A row is ``{"image", "mask", "instances", "split", "nuclei",
    "expression"}``, the last with ``--sentences``.

    Args:
        src: see above.
        conversion: writes.
        args: of :func:`add_arguments`.

    Raises:
        ConversionError: without defusedxml or scikit-image; with all files that are missing or cannot be read.
    """
    try:
        import defusedxml.ElementTree  # noqa: F401
        import skimage.draw  # noqa: F401
    except ImportError as error:
        raise ConversionError('monuseg', [f"needs {error.name}: pip install 'mmseg_textseg[data]'"]) from error
    sentences = read_sentences(args.sentences)
    outlines = files_below(src, '.xml')
    if not outlines:
        raise ConversionError(str(src), ['no *.xml: unpack the archives of the challenge there'])
    images: dict[str, list[Path]] = {}
    for path in files_below(src, *IMAGE_ENDINGS):
        images.setdefault(path.stem, []).append(path)
    problems: list[str] = []
    pictures: dict[str, dict] = {}
    for path in conversion.each(outlines):
        stem = path.stem
        found = images.get(stem, [])
        if stem in pictures or len(found) != 1:
            what = 'is there twice' if stem in pictures else f'has {len(found) or "no"} images {stem}.tif below {src}'
            problems.append(f'{path}: {what}: expected one of each')
            continue
        with noting(problems):
            pictures[stem] = _write(conversion, path, found[0], 'test' if _is_test(path, src) else 'train')
    if problems:
        raise ConversionError(str(src), problems)
    write_tables(conversion, join_sentences(pictures, sentences, conversion))


def _is_test(path: Path, src: Path) -> bool:
    # Of the folders above --src only its own name, and that only where it is the challenge's.
    folders = path.relative_to(src).parts[:-1] or ((src.name,) if src.name.lower().startswith('monuseg') else ())
    return any('test' in folder.lower() for folder in folders)


def _write(conversion: Conversion, path: Path, image: Path, split: str) -> dict:
    """The files of one image; its row."""
    picture = read_picture(image)
    polygons, others = read_outlines(path)
    numbers, hidden = draw_nuclei(polygons, picture.shape[:2])
    name = f'{image.stem}.png'
    conversion.write(f'images/{name}', lambda: picture, image)
    conversion.write(f'masks/{name}', partial(_binary, numbers), path, image)
    instances = conversion.write(f'instances/{name}', lambda: numbers, path, image)
    nuclei = int(numbers.max())
    conversion.count(f'{split} images')
    conversion.count(f'{split} nuclei', nuclei)
    if hidden:
        conversion.count('nuclei without a pixel of their own, left out', hidden)
    if others:
        conversion.count('regions of less than three points or negative, left out', others)
    return dict(image=name, mask=name, instances=instances, split=split, nuclei=nuclei)


def _binary(numbers: np.ndarray) -> np.ndarray:
    return (numbers > 0).astype(np.uint8) * 255


def read_outlines(path: Path) -> tuple[list[np.ndarray], int]:
    """Polygons of an Aperio ImageScope file, in its order.

    Args:
        path: ``Annotations/Annotation/Regions/Region/Vertices/Vertex`` with ``X`` and ``Y`` in pixels.

    Returns:
        (N, 2) float arrays of x, y; and the number of regions that are none (less than three points, or negative).

    Raises:
        ValueError: it is no such file, has no region, or a vertex is not finite.
    """
    from defusedxml import DefusedXmlException, ElementTree

    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f'{path}: is no XML ({error}): get the file anew') from error
    except DefusedXmlException as error:
        raise ValueError(f'{path}: declares entities, which an outline does not need: refused ({error})') from error
    regions = root.findall('./Annotation/Regions/Region')
    if not regions:
        raise ValueError(f'{path}: no Annotation/Regions/Region: expected outlines of Aperio ImageScope')
    polygons, others = [], 0
    for region in regions:
        named = f'{path}: region {region.get("Id")}'
        vertices = region.findall('./Vertices/Vertex')
        try:
            points = np.array([(float(v.attrib['X']), float(v.attrib['Y'])) for v in vertices]).reshape(-1, 2)
        except (KeyError, ValueError) as error:
            raise ValueError(f'{named}: a vertex without numbers X and Y ({error}): mend the file') from error
        if not np.isfinite(points).all():
            raise ValueError(f'{named}: a vertex is not finite: mend the file')
        if len(points) < 3 or region.get('NegativeROA') == '1':
            others += 1
        else:
            polygons.append(points)
    return polygons, others


def draw_nuclei(polygons: list[np.ndarray], shape: tuple[int, int]) -> tuple[np.ndarray, int]:
    """Number pixels by polygon; the first polygon has those that are in several.

    Args:
        polygons: (N, 2) arrays of x, y; a pixel's centre has whole numbers.
        shape: height and width.

    Returns:
        (H, W) uint16, 0 and from 1 on the polygons that have a pixel; and how many have none.

    Raises:
        ValueError: more polygons than 16 bits can number.
    """
    from skimage.draw import polygon

    if len(polygons) > MOST_NUCLEI:
        raise ValueError(f'{len(polygons):,} nuclei: 16 bits number {MOST_NUCLEI:,} at most')
    numbers = np.zeros(shape, np.uint16)
    number = 0
    for points in polygons:
        rows, columns = polygon(points[:, 1], points[:, 0], shape)
        free = numbers[rows, columns] == 0
        if free.any():
            number += 1
            numbers[rows[free], columns[free]] = number
    return numbers, len(polygons) - number
