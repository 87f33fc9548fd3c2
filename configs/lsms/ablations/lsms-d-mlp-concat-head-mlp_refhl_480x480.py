# LSMS, Table III (d): P1-4, MLP-Concat-Head-MLP: a 1x1 convolution a stage, then the Hamburger.
# Width of the MLPs before the concatenation is not said: that of the decoder's output.
#   python tools/train.py configs/lsms/ablations/lsms-d-mlp-concat-head-mlp_refhl_480x480.py
# Paper (RefHL-Seg val): Dice, mIoU 76.40, 68.29; the full model 78.34, 70.31.
# Not run here: RefHL-Seg is private. On the phantom: docs/ablations.md.
_base_ = '../lsms_refhl_480x480.py'
model = dict(
    decode_head=dict(in_channels=_base_.widths, in_index=[0, 1, 2, 3], mlp_channels=_base_.model.decode_head.channels)
)
