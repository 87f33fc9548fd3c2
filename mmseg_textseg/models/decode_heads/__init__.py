from .full_scale_head import FullScaleHead

__all__ = ['FullScaleHead']
