"""A dataset looked over before training: ``tools/doctor.py``."""

from .examine import Examination, examine
from .findings import CHECKS, Check, Finding, worst_first
from .report import as_json, as_text
from .sheet import contact_sheet
from .splits import Loading, Split, config_splits, table_splits

__all__ = [
    'CHECKS',
    'Check',
    'Examination',
    'Finding',
    'Loading',
    'Split',
    'as_json',
    'as_text',
    'config_splits',
    'contact_sheet',
    'examine',
    'table_splits',
    'worst_first',
]
