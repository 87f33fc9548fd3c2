# MPTPN stage 2, tiny (C = 8), on the easy phantom, 96 x 96, from stage 1's checkpoint.
#   python tools/train.py configs/phantom/mptpn-c8_phantom_96x96.py --init-from CHECKPOINT_OF_STAGE_1
# Stage 1 is configs/phantom/ppe-simsiam-c8_phantom_96x96.py; both stages: make mptpn-demo.
# Reached: Dice 57.1, IoU 44.5; shuffled sentences 37.7, 27.8; from random weights 58.5, 45.9 (docs/results.md).
# From random weights with 800 iterations instead of 300: 57.8, 46.9.
_base_ = [
    '../_base_/models/mptpn.py',
    '../_base_/datasets/phantom_96x96.py',
    '../_base_/schedules/phantom_800i.py',
    '../default_runtime.py',
]
text_channels = 128
widths = [8, 16, 32]
stage1 = 'work_dirs/ppe-simsiam-c8_phantom_96x96/iter_120.pth'
model = dict(
    text_encoder=dict(
        pretrained=None,
        frozen=False,
        tokenizer={{_base_.vocabulary}},
        arch=dict(hidden_size=text_channels, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256),
        init_cfg=dict(type='StrictPretrained', checkpoint=stage1, prefix='text_encoder.'),
    ),
    backbone=dict(
        base_channels=widths[0],
        num_heads=4,
        patch_size=8,
        img_size=96,
        text_channels=text_channels,
        num_text_tokens=12,
        init_cfg=dict(checkpoint=stage1),
    ),
    decode_head=dict(in_channels=widths),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='Resize', scale=(96, 96), keep_ratio=False),
    dict(type='TokenizeText', tokenizer={{_base_.vocabulary}}, max_tokens=12),
    dict(type='PackTextSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96), keep_ratio=False),
    dict(type='LoadMask'),
    dict(type='TokenizeText', tokenizer={{_base_.vocabulary}}, max_tokens=12),
    dict(type='PackTextSegInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
max_iters = 300
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-3), clip_grad=dict(max_norm=5.0)
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=30),
    dict(type='PolyLR', power=0.9, begin=30, end=max_iters, eta_min=0.0, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=300)
log_processor = dict(by_epoch=False)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=300))
