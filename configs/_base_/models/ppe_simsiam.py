# MPTPN (Han et al. 2023), stage 1: PPE learns from two views of an image with one caption; BERT frozen.
text_channels = 768
model = dict(
    type='PPESimSiam',
    data_preprocessor=dict(
        type='TwoViewDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size_divisor=16,
    ),
    text_encoder=dict(type='BertTextEncoder', pretrained='bert-base-uncased', frozen=True),
    backbone=dict(type='PPE', base_channels=64, img_size=224, text_channels=text_channels, num_text_tokens=24),
)
