# LSMS, Table III (d): P4-Head-MLP, the last stage alone, aligned to the first one's size, with the Hamburger.
#   python tools/train.py configs/lsms/ablations/lsms-d-p4-head-mlp_refhl_480x480.py
# Paper (RefHL-Seg val): Dice, mIoU 76.03, 67.58; the full model 78.34, 70.31.
# Not run here: RefHL-Seg is private. On the phantom: docs/ablations.md.
_base_ = '../lsms_refhl_480x480.py'
model = dict(decode_head=dict(in_channels=_base_.widths[3:], in_index=[3]))
