# LSMS, Table III (e): the decoder reads the first three stages.
# Which stages is not in the text of the paper: P4 alone is (d)'s P4-Head-MLP with another figure, and P2-4 the full
# model, so the rows are taken to add stages from the first. Later stages are not built.
#   python tools/train.py configs/lsms/ablations/lsms-e-p1-3_refhl_480x480.py
# Paper (RefHL-Seg val): Dice, mIoU 77.89, 67.36; the full model 78.34, 70.31.
# Not run here: RefHL-Seg is private. On the phantom: docs/ablations.md.
_base_ = '../lsms_refhl_480x480.py'
model = dict(
    backbone=dict(out_indices=[0, 1, 2]),
    decode_head=dict(in_channels=_base_.widths[:3], in_index=[0, 1, 2]),
)
