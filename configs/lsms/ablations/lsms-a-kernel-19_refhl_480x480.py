# LSMS, Table III (a): a single ConvUnit, 19 long.
# SegNeXt has none so long, so they start fresh. The Pixel-Map stays, and the other parts (the paper does not say).
#   python tools/train.py configs/lsms/ablations/lsms-a-kernel-19_refhl_480x480.py
# Paper (RefHL-Seg val): Dice, mIoU 72.33, 63.97; the full model 78.34, 70.31.
# Not run here: RefHL-Seg is private. On the phantom: docs/ablations.md.
_base_ = '../lsms_refhl_480x480.py'
model = dict(backbone=dict(kernel_sizes=[19]))
