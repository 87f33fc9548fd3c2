# LSMS, Table III (b): three ConvUnits without the Pixel-Map of eq. 9: the words are added, not multiplied.
#   python tools/train.py configs/lsms/ablations/lsms-b-no-pm_refhl_480x480.py
# Paper (RefHL-Seg val): Dice, mIoU 77.23, 68.91; the full model 78.34, 70.31.
# Not run here: RefHL-Seg is private. On the phantom: docs/ablations.md.
_base_ = '../lsms_refhl_480x480.py'
model = dict(backbone=dict(pixel_map=False))
