from .drawing import caption, overlay, sheet, with_caption

__all__ = ['caption', 'overlay', 'sheet', 'with_caption']
