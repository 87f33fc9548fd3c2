"""Is the text used, and how: one model under changed sentences (``tools/audit_text.py``). Needs the extra ``eval``."""

from .audit import Audit, AuditOptions, audit_text, partial_options
from .conditions import AuditError, Condition, make_conditions, select
from .effects import Effect, Followed
from .plot import draw
from .report import as_json, as_markdown, as_text, write_items
from .verdict import verdict

__all__ = [
    'Audit',
    'AuditError',
    'AuditOptions',
    'Condition',
    'Effect',
    'Followed',
    'as_json',
    'as_markdown',
    'as_text',
    'audit_text',
    'draw',
    'make_conditions',
    'partial_options',
    'select',
    'verdict',
    'write_items',
]
