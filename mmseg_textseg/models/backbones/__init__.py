from .ppe import PPE
from .svla import SVLA, LanguageBranch, SVLABlock
from .svla_encoder import SVLAEncoder

__all__ = ['PPE', 'SVLA', 'LanguageBranch', 'SVLABlock', 'SVLAEncoder']
