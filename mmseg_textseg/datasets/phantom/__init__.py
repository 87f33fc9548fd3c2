"""The phantom: made-up abdominal CT slices with referring expressions, in the RefHL-Seg layout.

Nothing here is medical data. The package needs numpy, OpenCV, SciPy and tqdm only.
"""

from .expressions import Expression, describe, unique_match
from .lesions import Lesion, largest_diameter
from .validation import validate_phantom
from .writer import GENERATOR_VERSION, make_phantom, make_slice

__all__ = [
    'GENERATOR_VERSION',
    'Expression',
    'Lesion',
    'describe',
    'largest_diameter',
    'make_phantom',
    'make_slice',
    'unique_match',
    'validate_phantom',
]
