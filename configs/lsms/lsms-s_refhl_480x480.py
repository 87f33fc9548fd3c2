# LSMS-S: the small encoder; else as lsms_refhl_480x480.py.
#   python tools/train.py configs/lsms/lsms-s_refhl_480x480.py
# No figure in the paper, none measured here.
_base_ = './lsms_refhl_480x480.py'
model = dict(
    backbone=dict(
        arch='small',
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segnext/mscan_s_20230227-f33ccdf2.pth'
        ),
    ),
    decode_head=dict(ham_channels=256, rank=16),
)
