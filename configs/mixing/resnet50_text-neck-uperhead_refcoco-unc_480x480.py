# Stock parts at both ends on RefCOCO (UNC's split), 480 x 480: ResNet-50, TextFusionNeck, UPerHead and FCNHead.
#   python tools/convert_dataset.py refcoco --src DIR --out data/refcoco_unc --dataset refcoco --split-by unc
#   python tools/train.py configs/mixing/resnet50_text-neck-uperhead_refcoco-unc_480x480.py
#   python tools/test.py configs/mixing/resnet50_text-neck-uperhead_refcoco-unc_480x480.py CHECKPOINT --out DIR
# The auxiliary head reads a fused map too. Not run: no data, no accelerator.
_base_ = [
    'mmseg::_base_/models/upernet_r50.py',
    '../_base_/datasets/refcoco_480x480.py',
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
    neck=dict(
        type='TextFusionNeck',
        in_channels=[256, 512, 1024, 2048],
        text_channels=text_channels,
        fusion=dict(type='CrossAttentionFusion'),
    ),
    decode_head=dict(num_classes=2, out_channels=2),
    auxiliary_head=dict(num_classes=2, out_channels=2),
)
# The pyramid pooling of UPerHead normalises 1 x 1 maps over the batch, which one image left over would not do.
train_dataloader = dict(drop_last=True)
max_epochs = 40
param_scheduler = [
    dict(type='PolyLR', power=0.9, begin=0, end=max_epochs, eta_min=0.0, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=max_epochs)
