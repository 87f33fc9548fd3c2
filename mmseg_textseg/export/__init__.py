from .check import TOLERANCE
from .graph import ExportError, MaskGraph, Signature, read_signature
from .run import build_model, export

__all__ = ['TOLERANCE', 'ExportError', 'MaskGraph', 'Signature', 'build_model', 'export', 'read_signature']
