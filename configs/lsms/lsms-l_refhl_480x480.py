# LSMS-L: the large encoder, drop path 0.3; else as lsms_refhl_480x480.py.
#   python tools/train.py configs/lsms/lsms-l_refhl_480x480.py
# No figure in the paper, none measured here.
_base_ = './lsms_refhl_480x480.py'
model = dict(
    backbone=dict(
        arch='large',
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segnext/mscan_l_20230227-cef260d4.pth'
        ),
    ),
    decode_head=dict(ham_channels=1024),
)
