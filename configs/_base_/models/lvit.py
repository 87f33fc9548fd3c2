# LViT (Li et al., IEEE TMI 2023, arXiv 2206.14718): a U-shaped CNN and ViT, PLAM on the skips, BERT frozen.
text_channels = 768
widths = [64, 128, 256, 512, 512]  # of the encoder's maps; configs that inherit read it: _base_.widths
model = dict(
    type='TextEncoderDecoder',
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
    text_encoder=dict(type='BertTextEncoder', pretrained='bert-base-uncased', frozen=True),
    backbone=dict(type='LViT', base_channels=widths[0], img_size=224, text_channels=text_channels, num_text_tokens=24),
    decode_head=dict(
        type='LViTHead',
        in_channels=widths,
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        loss_decode=[
            dict(type='WeightedBCELoss', loss_weight=0.5),
            dict(type='WeightedDiceLoss', loss_weight=0.5),
        ],
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
# For --tta, which needs a tta_pipeline too: docs/pretraining.md. MMSegmentation's own applies the sigmoid twice.
tta_model = dict(type='TextSegTTAModel')
