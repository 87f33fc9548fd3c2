# A stock ResNet-50 as a referring model on RefHL-Seg, 480 x 480: text enters in the head, by cross-attention.
#   python tools/train.py configs/mixing/resnet50_full-scale-head_refhl_480x480.py
#   python tools/test.py configs/mixing/resnet50_full-scale-head_refhl_480x480.py CHECKPOINT --out DIR
# Optimizer, losses and data are those of configs/lsms/lsms_refhl_480x480.py: what text in every block is worth.
# Not run: the data are private, no accelerator. `make refhl-phantom` puts a made-up stand-in at data/refhl.
_base_ = [
    'mmseg::_base_/models/upernet_r50.py',
    '../_base_/datasets/refhl_480x480.py',
    '../_base_/schedules/lsms_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
text_channels = 768
model = dict(
    type='TextEncoderDecoder',
    data_preprocessor=dict(size_divisor=32, test_cfg=dict(size_divisor=32)),
    pretrained=None,
    text_encoder=dict(type='BertTextEncoder', pretrained='bert-base-uncased'),
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/pretrain/third_party/resnet50_v1c-2cccc1ad.pth',
        ),
    ),
    decode_head=dict(
        _delete_=True,
        type='FullScaleHead',
        in_channels=[512, 1024, 2048],
        in_index=[1, 2, 3],
        ham_channels=512,
        channels=256,
        num_classes=2,
        text_channels=text_channels,
        text_fusion=dict(type='CrossAttentionFusion'),
        loss_decode=dict(type='BoundaryWeightedSegLoss', lam=1.2),
        loss_contrast=dict(type='VisionLanguageContrastiveLoss', tau=0.1, loss_weight=0.125),
    ),
    # It would have to mark the lesion that the sentence means without the sentence.
    auxiliary_head=None,
)
