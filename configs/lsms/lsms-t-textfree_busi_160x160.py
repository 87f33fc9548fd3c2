# Text-free LSMS-T ("classical" lesion segmentation) on BUSI: no text encoder, no language branch, no contrastive loss.
#   python tools/train.py configs/lsms/lsms-t-textfree_busi_160x160.py
# Not trained to its end here; after 632 iterations (10 minutes on one thread) on test: Dice 55.55, IoU 45.86, with
# text in that time 72.08, 61.33 (docs/results.md). The counterpart with text: lsms-t_busi_160x160.py.
_base_ = './lsms-t_busi_160x160.py'
model = dict(
    text_encoder=None,
    backbone=dict(text_channels=None),
    decode_head=dict(text_channels=None, loss_contrast=None),
)
