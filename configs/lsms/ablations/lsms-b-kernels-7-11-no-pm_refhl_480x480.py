# LSMS, Table III (b): two ConvUnits, 7 and 11, without the Pixel-Map of eq. 9.
#   python tools/train.py configs/lsms/ablations/lsms-b-kernels-7-11-no-pm_refhl_480x480.py
# Paper (RefHL-Seg val): Dice, mIoU 76.75, 67.34; the full model 78.34, 70.31.
# Which pair belongs to which row is not in the text of the paper; the table's order is taken to be 1+2, 1+3, 2+3.
# Not run here: RefHL-Seg is private. On the phantom: docs/ablations.md.
_base_ = '../lsms_refhl_480x480.py'
model = dict(backbone=dict(kernel_sizes=[7, 11], pixel_map=False))
