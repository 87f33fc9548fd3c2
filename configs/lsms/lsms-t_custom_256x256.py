# Your own data: copy this file beside itself, set data_root and the names of the tables, train the copy.
#   python tools/train.py configs/lsms/lsms-t_custom_256x256.py
# LSMS-T from random visual weights with a small text encoder from scratch: runs offline. Layout: docs/datasets.md.
_base_ = ['../_base_/models/lsms.py', '../_base_/schedules/lsms_100e.py', '../default_runtime.py']
data_root = 'data/mine'
vocabulary = dict(build_from=f'{data_root}/train.csv')
text_channels = 128
widths = [32, 64, 160, 256]
size = (256, 256)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask', threshold=1),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='TokenizeText', tokenizer=vocabulary, max_tokens=48),
    dict(type='PackTextSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='LoadMask', threshold=1),
    dict(type='TokenizeText', tokenizer=vocabulary, max_tokens=48),
    dict(type='PackTextSegInputs'),
]
common = dict(type='TextSegDataset', data_root=data_root, data_prefix=dict(img_path='images', seg_map_path='masks'))
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**common, ann_file='train.csv', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**common, ann_file='val.csv', test_mode=True, pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**common, ann_file='test.csv', test_mode=True, pipeline=test_pipeline),
)
val_evaluator = dict(type='TextSegMetric')
test_evaluator = dict(type='TextSegMetric')
model = dict(
    text_encoder=dict(
        pretrained=None,
        tokenizer=vocabulary,
        arch=dict(hidden_size=text_channels, num_hidden_layers=2, num_attention_heads=4, intermediate_size=512),
    ),
    backbone=dict(arch='tiny', text_channels=text_channels, init_cfg=None),
    decode_head=dict(in_channels=widths[1:], ham_channels=256, rank=16, text_channels=text_channels),
)
optim_wrapper = dict(optimizer=dict(lr=5e-4), clip_grad=dict(max_norm=5.0))
randomness = dict(seed=0)
