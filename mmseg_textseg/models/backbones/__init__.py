from .svla_encoder import SVLAEncoder

__all__ = ['SVLAEncoder']
