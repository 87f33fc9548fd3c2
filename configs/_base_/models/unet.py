# MMSegmentation's U-Net with 16 channels at full size (1.8 M parameters): sees no text, the baseline of those that do.
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size_divisor=16,
        test_cfg=dict(size_divisor=16),
    ),
    backbone=dict(type='UNet', in_channels=3, base_channels=16, norm_cfg=norm_cfg),
    decode_head=dict(
        type='FCNHead',
        in_channels=16,
        in_index=4,
        channels=16,
        num_convs=1,
        concat_input=False,
        num_classes=2,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=[
            dict(type='CrossEntropyLoss', loss_name='loss_ce'),
            # Of the foreground alone: over both classes together the background decides, and a rare or uncertain
            # foreground is never marked.
            dict(type='DiceLoss', use_sigmoid=False, ignore_index=0),
        ],
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
