from .attention import Pass, StageAttention, attend, record_attention
from .attention_figure import attention_figure
from .drawing import caption, overlay, sheet, with_caption
from .panel import error_map, heat, panel
from .pictures import image_loader, load_picture, network_picture
from .visualizer import TextSegVisualizer
from .words import Token, Word, group_words, read_tokens

__all__ = [
    'Pass',
    'StageAttention',
    'TextSegVisualizer',
    'Token',
    'Word',
    'attend',
    'attention_figure',
    'caption',
    'error_map',
    'group_words',
    'heat',
    'image_loader',
    'load_picture',
    'network_picture',
    'overlay',
    'panel',
    'read_tokens',
    'record_attention',
    'sheet',
    'with_caption',
]
