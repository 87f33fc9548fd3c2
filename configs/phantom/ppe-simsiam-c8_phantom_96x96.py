# MPTPN stage 1, tiny (C = 8), on the easy phantom's training slices and sentences, 96 x 96; text encoder from scratch.
#   python tools/make_phantom.py --out data/phantom_96 --cases 120 --size 96 --difficulty easy --lesions 2 4
#   python tools/train.py configs/phantom/ppe-simsiam-c8_phantom_96x96.py
# or both stages: make mptpn-demo. Reached: loss -1.56, spread 0.18 to 0.29, 102 s on two cores.
_base_ = [
    '../_base_/models/ppe_simsiam.py',
    '../_base_/datasets/two_views_224x224.py',
    '../_base_/schedules/simsiam_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
data_root = 'data/phantom_96'
text_channels = 128
vocabulary = dict(build_from=f'{data_root}/train.jsonl')
model = dict(
    text_encoder=dict(
        pretrained=None,
        frozen=False,
        tokenizer=vocabulary,
        arch=dict(hidden_size=text_channels, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256),
    ),
    backbone=dict(
        base_channels=8, num_heads=4, patch_size=8, img_size=96, text_channels=text_channels, num_text_tokens=12
    ),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96), keep_ratio=False),
    dict(type='TokenizeText', tokenizer=vocabulary, max_tokens=12),
    dict(type='TwoViews', transforms={{_base_.view_transforms}}),
    dict(type='PackViews'),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        data_root=data_root,
        ann_file='train.jsonl',
        data_prefix=dict(img_path='images'),
        captions='all',
        pipeline=train_pipeline,
    ),
)
max_iters = 120
param_scheduler = [dict(type='CosineAnnealingLR', T_max=max_iters, by_epoch=False, begin=0, end=max_iters)]
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=max_iters)
log_processor = dict(by_epoch=False)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=120, max_keep_ckpts=1))
