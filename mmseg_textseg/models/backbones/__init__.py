from .svla import SVLA, LanguageBranch, SVLABlock
from .svla_encoder import SVLAEncoder

__all__ = ['SVLA', 'LanguageBranch', 'SVLABlock', 'SVLAEncoder']
