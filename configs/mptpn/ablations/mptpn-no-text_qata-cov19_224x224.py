# MPTPN without text: no text encoder, PPE without its text branch; the visual weights of stage 1 stay. Not in Table 3.
#   python tools/train.py configs/mptpn/ablations/mptpn-no-text_qata-cov19_224x224.py
# The paper has no figure for it; its whole model (QaTa-COV19): Dice, mIoU, Acc 91.53, 85.67, 95.01.
# Not run here: the data are not at hand. On the phantom: docs/ablations.md.
_base_ = '../mptpn_qata-cov19_224x224.py'
model = dict(text_encoder=None, backbone=dict(text_channels=None))
