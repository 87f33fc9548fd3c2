# LSMS with the precursor SLViT's fusion: the words pass a learned gate instead of the Pixel-Map, and the scale of eq. 8
# is sqrt(C_i). Not in Table III. SLViT's cross-scale enhancement is not here.
#   python tools/train.py configs/lsms/ablations/lsms-gate_refhl_480x480.py
# The paper has no figure for it; the full model 78.34, 70.31.
# Not run here: RefHL-Seg is private. On the phantom: docs/ablations.md.
_base_ = '../lsms_refhl_480x480.py'
model = dict(backbone=dict(fusion='gate', language_scale='visual'))
