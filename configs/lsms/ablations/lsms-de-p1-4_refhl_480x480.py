# LSMS, Table III (d) P1-4 Concat-Head-MLP and (e) all stages: the decoder reads the first stage too.
#   python tools/train.py configs/lsms/ablations/lsms-de-p1-4_refhl_480x480.py
# Paper (RefHL-Seg val): Dice, mIoU 77.97, 69.38; the full model 78.34, 70.31.
# Not run here: RefHL-Seg is private. On the phantom: docs/ablations.md.
_base_ = '../lsms_refhl_480x480.py'
model = dict(decode_head=dict(in_channels=_base_.widths, in_index=[0, 1, 2, 3]))
