from .ppe_simsiam import PPESimSiam

__all__ = ['PPESimSiam']
