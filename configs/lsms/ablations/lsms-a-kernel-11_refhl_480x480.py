# LSMS, Table III (a): a single ConvUnit, 11 long.
# The Pixel-Map stays, and the other parts (the paper does not say).
#   python tools/train.py configs/lsms/ablations/lsms-a-kernel-11_refhl_480x480.py
# Paper (RefHL-Seg val): Dice, mIoU 74.03, 65.27; the full model 78.34, 70.31.
# Not run here: RefHL-Seg is private. On the phantom: docs/ablations.md.
_base_ = '../lsms_refhl_480x480.py'
model = dict(backbone=dict(kernel_sizes=[11]))
