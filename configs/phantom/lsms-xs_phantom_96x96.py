# The demo: a small LSMS (1.6 M parameters with its text encoder) on an easy phantom, 96 x 96, from random weights.
#   make demo
# or by hand:
#   python tools/make_phantom.py --out data/phantom_96 --cases 120 --size 96 --difficulty easy --lesions 2 4
#   python tools/train.py configs/phantom/lsms-xs_phantom_96x96.py
# Reached: Dice 82.4, IoU 72.3 on cases never trained on; 22.2, 18.5 with shuffled sentences; 386 s in all on two cores.
_base_ = ['../_base_/models/lsms.py', '../_base_/datasets/refhl_480x480.py', '../default_runtime.py']
data_root = 'data/phantom_96'
text_channels = 128
vocabulary = dict(build_from=f'{data_root}/train.jsonl')
model = dict(
    text_encoder=dict(
        pretrained=None,
        tokenizer=vocabulary,
        arch=dict(hidden_size=text_channels, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256),
    ),
    backbone=dict(
        arch=dict(_delete_=True, widths=(24, 48, 96, 128), depths=(2, 2, 2, 2), mlp_ratios=(4, 4, 4, 4)),
        text_channels=text_channels,
        drop_path_rate=0.0,
        init_cfg=None,
    ),
    decode_head=dict(
        in_channels=[48, 96, 128],
        ham_channels=128,
        channels=64,
        rank=16,
        text_channels=text_channels,
        norm_cfg=dict(type='GN', num_groups=16),
    ),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='Resize', scale=(96, 96), keep_ratio=False),
    dict(type='TokenizeText', tokenizer=vocabulary),
    dict(type='PackTextSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96), keep_ratio=False),
    dict(type='LoadMask'),
    dict(type='TokenizeText', tokenizer=vocabulary),
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
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0),
)
max_iters = 800
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='PolyLR', power=0.9, begin=50, end=max_iters, eta_min=0.0, by_epoch=False),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=200)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
log_processor = dict(by_epoch=False)
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=200, max_keep_ckpts=1, save_best='dice', rule='greater'
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
)
randomness = dict(seed=0)
