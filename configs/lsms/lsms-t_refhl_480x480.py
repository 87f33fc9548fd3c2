# LSMS-T: the tiny encoder; else as lsms_refhl_480x480.py.
#   python tools/train.py configs/lsms/lsms-t_refhl_480x480.py
# No figure in the paper, none measured here.
_base_ = './lsms_refhl_480x480.py'
widths = [32, 64, 160, 256]
model = dict(
    backbone=dict(
        arch='tiny',
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segnext/mscan_t_20230227-119e8c9f.pth'
        ),
    ),
    decode_head=dict(in_channels=widths[1:], ham_channels=256, rank=16),
)
