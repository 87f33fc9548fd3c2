# A stock ResNet-18, 20 channels wide, as a referring model on the easy phantom, 96 x 96: text enters in the head alone.
#   python tools/train.py configs/phantom/resnet18-full-scale_phantom_96x96.py
#   python tools/test.py configs/phantom/resnet18-full-scale_phantom_96x96.py CHECKPOINT --out DIR [--shuffle-text]
# Text encoder, losses, schedule, data and size (1.7 M parameters) as in configs/phantom/lsms-xs_phantom_96x96.py.
# The other fusion: --cfg-options model.decode_head.text_fusion.type=CrossAttentionFusion. Not run.
_base_ = './lsms-xs_phantom_96x96.py'
widths = [20, 40, 80, 160]
model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNetV1c',
        depth=18,
        stem_channels=widths[0],
        base_channels=widths[0],
        norm_cfg=dict(type='BN', requires_grad=True),
    ),
    decode_head=dict(in_channels=widths[1:], text_fusion=dict(type='LanguageFusion')),
)
