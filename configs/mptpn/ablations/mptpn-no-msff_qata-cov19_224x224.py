# MPTPN, Table 3, without MSFF: UpAttention on PPE's own maps.
#   python tools/train.py configs/mptpn/ablations/mptpn-no-msff_qata-cov19_224x224.py
# Paper (QaTa-COV19): Dice, mIoU, Acc 84.72, 73.78, 87.34; the whole model 91.53, 85.67, 95.01.
# Not run here: the data are not at hand. On the phantom: docs/ablations.md.
_base_ = '../mptpn_qata-cov19_224x224.py'
model = dict(decode_head=dict(type='UpAttentionHead'))
