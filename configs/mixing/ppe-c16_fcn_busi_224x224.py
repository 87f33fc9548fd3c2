# MPTPN's text-augmented encoder (C = 16) with MMSegmentation's FCNHead on BUSI, 224 x 224: what MSFF and UpAttention
# are worth beside configs/mptpn/mptpn-c16_busi_224x224.py; schedule and data are the same.
#   python tools/train.py configs/mixing/ppe-c16_fcn_busi_224x224.py
#   python tools/test.py configs/mixing/ppe-c16_fcn_busi_224x224.py CHECKPOINT --out DIR [--shuffle-text]
# Two logits and the losses of configs/unet/unet-c16_busi_160x160.py, as MMSegmentation's heads have them. Not run.
_base_ = '../mptpn/mptpn-c16_busi_224x224.py'
model = dict(
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        in_channels=_base_.widths,
        in_index=[0, 1, 2],
        input_transform='resize_concat',
        channels=_base_.widths[0],
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=2,
        out_channels=2,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=[
            dict(type='CrossEntropyLoss', loss_name='loss_ce'),
            dict(type='DiceLoss', use_sigmoid=False, ignore_index=0),  # of the foreground
        ],
    ),
)
