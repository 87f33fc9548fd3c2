# LSMS-T's language-guided encoder with MMSegmentation's UPerHead on BUSI, 160 x 160: what its decoder and its losses
# are worth beside configs/lsms/lsms-t_busi_160x160.py; schedule and data are the same.
#   python tools/train.py configs/mixing/svla-t_uperhead_busi_160x160.py
#   python tools/test.py configs/mixing/svla-t_uperhead_busi_160x160.py CHECKPOINT --out DIR [--shuffle-text]
# Not run.
_base_ = '../lsms/lsms-t_busi_160x160.py'
model = dict(
    decode_head=dict(
        _delete_=True,
        type='UPerHead',
        in_channels=_base_.widths,
        in_index=[0, 1, 2, 3],
        channels=128,
        num_classes=2,
        out_channels=2,
        dropout_ratio=0.1,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=[
            dict(type='CrossEntropyLoss', loss_name='loss_ce'),
            dict(type='DiceLoss', use_sigmoid=False, ignore_index=0),  # of the foreground
        ],
    ),
)
