# LSMS without text ("classical", Table II): no text encoder, no language branch, no contrastive loss.
#   python tools/train.py configs/lsms/ablations/lsms-textfree_refhl_480x480.py
# Paper: in Table II, whose figures are not in its text; with text 78.34, 70.31.
# Not run here: RefHL-Seg is private. On the phantom: docs/ablations.md.
_base_ = '../lsms_refhl_480x480.py'
model = dict(
    text_encoder=None,
    backbone=dict(text_channels=None),
    decode_head=dict(text_channels=None, loss_contrast=None),
)
