# LAVT (arXiv 2112.02244): Swin-B with pixel-word attention and language gates, light decoder, BERT trained with it.
text_channels = 768
model = dict(
    type='TextEncoderDecoder',
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
    text_encoder=dict(type='BertTextEncoder', pretrained='bert-base-uncased'),
    backbone=dict(
        type='LAVTSwin',
        text_channels=text_channels,
        embed_dims=128,
        depths=(2, 2, 18, 2),
        num_heads=(4, 8, 16, 32),
        window_size=12,
        drop_path_rate=0.3,
        init_cfg=dict(
            type='StrictPretrained',
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/swin_base_patch4_window12_384_22k_20220317-e5c09f74.pth',
        ),
    ),
    decode_head=dict(
        type='LAVTHead',
        in_channels=[128, 256, 512, 1024],
        channels=512,
        num_classes=2,
        loss_decode=dict(type='CrossEntropyLoss', class_weight=[0.9, 1.1]),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
