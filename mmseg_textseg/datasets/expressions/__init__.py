"""Masks without sentences -> expressions that fit one lesion each (``tools/make_expressions.py``)."""

from .shares import word_shares
from .sources import Source, from_folders, from_table
from .template import TemplateError, load_template
from .writer import write_expressions

__all__ = ['Source', 'TemplateError', 'from_folders', 'from_table', 'load_template', 'word_shares', 'write_expressions']
