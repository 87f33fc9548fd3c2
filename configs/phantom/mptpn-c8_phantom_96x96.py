# MPTPN stage 2, tiny (C = 8), on the easy phantom, 96 x 96, from stage 1's checkpoint.
#   python tools/train.py configs/phantom/mptpn-c8_phantom_96x96.py --init-from CHECKPOINT_OF_STAGE_1
# Stage 1 is configs/phantom/ppe-simsiam-c8_phantom_96x96.py; both stages: make mptpn-demo.
# Reached: Dice 57.1, IoU 44.5; shuffled sentences 37.7, 27.8; from random weights 58.5, 45.9 (docs/results.md).
_base_ = ['../_base_/models/mptpn.py', '../_base_/datasets/refhl_480x480.py', '../default_runtime.py']
data_root = 'data/phantom_96'
text_channels = 128
vocabulary = dict(build_from=f'{data_root}/train.jsonl')
stage1 = 'work_dirs/ppe-simsiam-c8_phantom_96x96/iter_120.pth'
model = dict(
    text_encoder=dict(
        pretrained=None,
        frozen=False,
        tokenizer=vocabulary,
        arch=dict(hidden_size=text_channels, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256),
        init_cfg=dict(type='StrictPretrained', checkpoint=stage1, prefix='text_encoder.'),
    ),
    backbone=dict(
        base_channels=8,
        num_heads=4,
        patch_size=8,
        img_size=96,
        text_channels=text_channels,
        num_text_tokens=12,
        init_cfg=dict(checkpoint=stage1),
    ),
    decode_head=dict(in_channels=[8, 16, 32]),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='Resize', scale=(96, 96), keep_ratio=False),
    dict(type='TokenizeText', tokenizer=vocabulary, max_tokens=12),
    dict(type='PackTextSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96), keep_ratio=False),
    dict(type='LoadMask'),
    dict(type='TokenizeText', tokenizer=vocabulary, max_tokens=12),
    dict(type='PackTextSegInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(batch_size=16, num_workers=1, dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(batch_size=16, num_workers=1, dataset=dict(data_root=data_root, pipeline=test_pipeline))
max_iters = 300
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-3), clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=30),
    dict(type='PolyLR', power=0.9, begin=30, end=max_iters, eta_min=0.0, by_epoch=False),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=300)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
log_processor = dict(by_epoch=False)
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=300, max_keep_ckpts=1, save_best='dice', rule='greater'
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
)
randomness = dict(seed=0)
