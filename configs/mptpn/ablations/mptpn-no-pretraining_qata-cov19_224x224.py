# MPTPN, Table 3, without stage 1's weights, the text encoder's included where stage 1 trained one.
#   python tools/train.py configs/mptpn/ablations/mptpn-no-pretraining_qata-cov19_224x224.py
# Paper (QaTa-COV19): Dice, mIoU, Acc 90.91, 83.60, 93.66; the whole model 91.53, 85.67, 95.01.
# Not run here: the data are not at hand. On the phantom: docs/ablations.md.
_base_ = '../mptpn_qata-cov19_224x224.py'
model = dict(text_encoder=dict(init_cfg=None), backbone=dict(init_cfg=None))
