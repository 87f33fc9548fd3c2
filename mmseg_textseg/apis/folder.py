"""A folder of pictures, and a table of sentences or one for all -> masks, and a table of what was found."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..datasets.annotation_table import SHOWN_PROBLEMS
from ..datasets.annotations import iter_annotations
from ..datasets.file_names import split_name
from ..datasets.medical.dicom import is_dicom
from ..datasets.sample_names import SampleNames
from ..fileio import whole_file, write_png
from ..visualization import with_caption
from .inferencer import Query, TextSegInferencer
from .prediction import Prediction

COLUMNS = ('sample_id', 'image', 'slice', 'expression', 'mask', 'pixels', 'fraction', 'area_mm2', 'max_probability')


class Row(NamedTuple):
    """One query of a folder.

    Attributes:
        sample_id: names its mask; unique.
        query: what is asked.
        source: where it stands, for messages.
    """

    sample_id: str
    query: Query
    source: str


def rows_of_table(images: str, table: str, slice: int | None = None) -> list[Row]:
    """A row an expression of an annotation table (columns image, expression, and for volumes slice).

    Args:
        images: folder in which the table's names are found, exactly or by stem.
        table: as :func:`~mmseg_textseg.datasets.annotations.iter_annotations` reads it.
        slice: where the table does not say.

    Raises:
        FileNotFoundError: no such table or folder.
        AnnotationError: with every row that cannot be used.
    """
    rows, names = [], SampleNames()
    for row in iter_annotations(table, images):
        attributes = {key: value for key, value in row.attributes.items() if value not in (None, '')}
        name = names.of(row.image, None, row.slice)
        for text in row.expressions:
            query = Query(row.image, text, dict(slice=slice) | attributes)
            rows.append(Row(f'{name}-{names.count(row.image, None, row.slice)}', query, row.source))
    return rows


def rows_of_folder(images: str, text: str | None, slice: int | None = None) -> list[Row]:
    """A row a picture or volume of a folder (not of those below it), in the order of names.

    Raises:
        FileNotFoundError: no such folder, or no picture in it.
    """
    folder = Path(images)
    if not folder.is_dir():
        raise FileNotFoundError(f'no folder {folder}')
    files = [f for f in sorted(folder.iterdir()) if f.is_file() and (split_name(f.name)[2] or is_dicom(f))]
    if not files:
        raise FileNotFoundError(f'no picture, NIfTI or DICOM file in {folder}')
    names = SampleNames()
    number = None if slice is None else str(slice)
    return [
        Row(names.of(str(file), None, number), Query(str(file), text, dict(slice=slice)), file.name) for file in files
    ]


def check_pictures(segment: TextSegInferencer, rows: list[Row], **options) -> None:
    """Load every picture once, so that what is wrong is known before the first answer.

    Raises:
        ValueError: with the rows whose picture cannot be used.
    """
    problems, seen = [], {}
    for row in rows:
        key = row.query.image, str((row.query.attributes or {}).get('slice'))
        if key not in seen:
            try:
                segment.load(row.query.image, row.query.attributes, **options)
                seen[key] = None
            except (OSError, ValueError) as error:
                seen[key] = str(error)
        if seen[key] is not None:
            problems.append(f'{row.source}: {seen[key]}')
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        end = [f'... and {more} more'] if more > 0 else []
        lines = '\n  '.join(problems[:SHOWN_PROBLEMS] + end)
        raise ValueError(f'{len(problems)} of {len(rows)} rows have a picture that cannot be used:\n  {lines}')


def write_answers(
    segment: TextSegInferencer,
    rows: list[Row],
    out: Path,
    images: str,
    *,
    overlays: bool = False,
    probabilities: bool = False,
    **options,
) -> Iterator[Prediction]:
    """Ask, and write ``masks/``, ``overlays/``, ``probabilities/`` and, last, ``predictions.csv``.

    Masks are 0 and 255. A probability is 65535 times itself, in 16 bits.

    Args:
        segment: the model.
        rows: what to ask.
        out: folder, made; files of the same names are replaced.
        images: folder of the pictures, from which their names are told.
        overlays: write the masks over the pictures, with the sentence.
        probabilities: write the probabilities.
        **options: of :meth:`TextSegInferencer.stream`.

    Yields:
        Each answer after its files are written.
    """
    table = out / 'predictions.csv'
    table.unlink(missing_ok=True)  # of an earlier run: it says that all is there
    lines = []
    for row, answer in zip(rows, segment.stream((row.query for row in rows), **options), strict=True):
        name = f'{row.sample_id}.png'
        write_png(out / 'masks' / name, answer.mask.astype(np.uint8) * 255)
        if probabilities:
            write_png(out / 'probabilities' / name, np.rint(answer.probability * 65535).astype(np.uint16))
        if overlays:
            write_png(out / 'overlays' / name, captioned(answer)[..., ::-1])
        lines.append(_line(row, answer, images))
        yield answer
    with whole_file(table, newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(lines)


def captioned(answer: Prediction) -> np.ndarray:
    """The mask over the picture, RGB, the sentence below."""
    drawn = answer.overlay()
    return with_caption(drawn, answer.text) if answer.text else drawn


def _line(row: Row, answer: Prediction, images: str) -> dict:
    area = answer.area_mm2
    return dict(
        sample_id=row.sample_id,
        image=Path(row.query.image).relative_to(images).as_posix(),
        slice=(row.query.attributes or {}).get('slice'),
        expression=answer.text,
        mask=f'masks/{row.sample_id}.png',
        pixels=int(answer.mask.sum()),
        fraction=f'{answer.mask.mean():.6f}',
        area_mm2='' if area is None else f'{area:.2f}',
        max_probability=f'{answer.probability.max():.4f}',
    )
