# MPTPN, Table 3, without DownViT: its transformers and the way down; patches, and the text in the first, go to UpViT.
#   python tools/train.py configs/mptpn/ablations/mptpn-no-downvit_qata-cov19_224x224.py
# Paper (QaTa-COV19): Dice, mIoU, Acc 91.29, 84.20, 93.93; the whole model 91.53, 85.67, 95.01.
# Not run here: the data are not at hand. On the phantom: docs/ablations.md.
_base_ = '../mptpn_qata-cov19_224x224.py'
model = dict(backbone=dict(down_vit=False))
