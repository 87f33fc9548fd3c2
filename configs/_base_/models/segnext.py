# MMSegmentation's SegNeXt-T (MSCAN and LightHamHead, 4.2 M parameters) from random weights: sees no text, the baseline
# of LSMS, whose encoder is MSCAN with words in it. LightHamHead draws the first bases of its factorisation at random in
# each forward pass, evaluation too: one image predicted twice differs a little, and only a whole run with one seed
# repeats. FullScaleHead's bases are fixed.
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size_divisor=32,
        test_cfg=dict(size_divisor=32),
    ),
    backbone=dict(
        type='MSCAN',
        embed_dims=[32, 64, 160, 256],
        depths=[3, 3, 5, 2],
        mlp_ratios=[8, 8, 4, 4],
        drop_path_rate=0.1,
        norm_cfg=dict(type='BN', requires_grad=True),
    ),
    decode_head=dict(
        type='LightHamHead',
        in_channels=[64, 160, 256],
        in_index=[1, 2, 3],
        ham_channels=256,
        ham_kwargs=dict(MD_R=16),
        channels=256,
        dropout_ratio=0.1,
        norm_cfg=dict(type='GN', num_groups=32, requires_grad=True),
        num_classes=2,
        out_channels=2,
        align_corners=False,
        loss_decode=[
            dict(type='CrossEntropyLoss', loss_name='loss_ce'),
            dict(type='DiceLoss', use_sigmoid=False, ignore_index=0),  # of the foreground, as in unet.py
        ],
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
