"""Millimetres between pixels, from wherever a sample says it."""

import math
import re
from collections.abc import Mapping

from .medical.errors import MedicalImageError

SPACING_COLUMNS = ('pixel_spacing_mm', 'spacing_mm')


def pixel_spacing(sample: Mapping) -> tuple[float, float] | None:
    """Millimetres from row to row and from column to column of a picture at its original size.

    Args:
        sample: results of a pipeline or metainfo of a data sample: ``spacing`` (row, column), as LoadMedicalImage gives
            it, or else ``attributes`` with a column ``pixel_spacing_mm`` or ``spacing_mm``: a number, a pair, or either
            as text, which is how csv has it.

    Returns:
        None where nothing is said.

    Raises:
        MedicalImageError: naming the sample, if what is said is no positive number or pair of them.
    """
    if sample.get('spacing') is not None:
        return _pair(sample['spacing'], 'spacing', sample)
    attributes = sample.get('attributes') or {}
    for column in SPACING_COLUMNS:
        if attributes.get(column) not in (None, ''):
            return _pair(attributes[column], column, sample)
    return None


def _pair(value: object, key: str, sample: Mapping) -> tuple[float, float]:
    numbers = re.split(r'[\s,;]+', value.strip(' []()')) if isinstance(value, str) else value
    numbers = list(numbers) if isinstance(numbers, (list, tuple)) else [numbers]
    try:
        numbers = [float(number) for number in numbers]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) not in (1, 2) or not all(0 < number < math.inf for number in numbers):
        name = sample.get('sample_id') or sample.get('img_path')
        raise MedicalImageError(
            f'{name}: {key} is {value!r}: expected millimetres from pixel to pixel, one number or (row, column); '
            'leave the cell empty where they are unknown'
        )
    return numbers[0], numbers[-1]
