# LSMS, Table III (e) stages 2 to 4: the full model itself, as a row over a base whose decoder reads other stages
# (configs/phantom/lsms-xs-p1-4_phantom_96x96.py).
#   python tools/train.py configs/lsms/ablations/lsms-e-p2-4_refhl_480x480.py
# Paper (RefHL-Seg val): Dice, mIoU 78.34, 70.31.
# Not run here: RefHL-Seg is private. On the phantom: docs/ablations.md.
_base_ = '../lsms_refhl_480x480.py'
model = dict(decode_head=dict(in_channels=_base_.widths[1:], in_index=[1, 2, 3]))
