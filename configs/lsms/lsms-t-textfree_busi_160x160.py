# Text-free LSMS-T ("classical" lesion segmentation) on BUSI: no text encoder, no language branch, no contrastive loss.
#   python tools/train.py configs/lsms/lsms-t-textfree_busi_160x160.py
# Not trained to the end here (docs/results.md: equal time). The counterpart with text: lsms-t_busi_160x160.py.
_base_ = './lsms-t_busi_160x160.py'
model = dict(
    text_encoder=None,
    backbone=dict(text_channels=None),
    decode_head=dict(text_channels=None, loss_contrast=None),
)
