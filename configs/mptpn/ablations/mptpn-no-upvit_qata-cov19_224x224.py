# MPTPN, Table 3, without UpViT: DownViT's outputs go to the fusion.
#   python tools/train.py configs/mptpn/ablations/mptpn-no-upvit_qata-cov19_224x224.py
# Paper (QaTa-COV19): Dice, mIoU, Acc 91.22, 84.01, 93.96; the whole model 91.53, 85.67, 95.01.
# Not run here: the data are not at hand. On the phantom: docs/ablations.md.
_base_ = '../mptpn_qata-cov19_224x224.py'
model = dict(backbone=dict(up_vit=False))
