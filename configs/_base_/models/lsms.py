# LSMS (arXiv 2408.17347), base size: SVLA encoder, full-scale decoder, BERT trained with the rest.
text_channels = 768
widths = [64, 128, 320, 512]  # of the encoder's stages; configs that inherit read it: _base_.widths
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
        type='SVLAEncoder',
        arch='base',
        text_channels=text_channels,
        init_cfg=dict(
            type='StrictPretrained',
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segnext/mscan_b_20230227-3ab7d230.pth',
        ),
    ),
    decode_head=dict(
        type='FullScaleHead',
        in_channels=widths[1:],
        in_index=[1, 2, 3],
        align_to=0,
        ham_channels=768,
        channels=256,
        num_classes=2,
        text_channels=text_channels,
        loss_decode=dict(type='BoundaryWeightedSegLoss', lam=1.2),
        loss_contrast=dict(type='VisionLanguageContrastiveLoss', tau=0.1, loss_weight=0.125),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
