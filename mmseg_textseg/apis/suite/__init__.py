"""Folders of configs at equal budget: ``tools/run_suite.py``, docs/suites.md."""

from .budget import Budget, parse_budget, parse_seeds
from .rows import COUNTERPARTS, DATA, FULL, Row, find_rows
from .suite import Suite, run

__all__ = ['COUNTERPARTS', 'DATA', 'FULL', 'Budget', 'Row', 'Suite', 'find_rows', 'parse_budget', 'parse_seeds', 'run']
