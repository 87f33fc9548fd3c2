# MPTPN, Table 3, without UpAttention: MSFF's maps resized, concatenated, one 1x1 ConvBN and the classifier.
#   python tools/train.py configs/mptpn/ablations/mptpn-no-upattention_qata-cov19_224x224.py
# Paper (QaTa-COV19): Dice, mIoU, Acc 91.19, 84.07, 93.77; the whole model 91.53, 85.67, 95.01.
# Not run here: the data are not at hand. On the phantom: docs/ablations.md.
_base_ = '../mptpn_qata-cov19_224x224.py'
model = dict(
    neck=dict(type='MSFF', in_channels=_base_.widths),
    decode_head=dict(
        type='FCNHead',
        in_channels=[3 * width for width in _base_.widths],
        in_index=[0, 1, 2],
        input_transform='resize_concat',
        channels=3 * _base_.widths[0],
        num_convs=1,
        kernel_size=1,
        concat_input=False,
        dropout_ratio=0.0,
        norm_cfg=dict(type='BN', requires_grad=True),
    ),
)
