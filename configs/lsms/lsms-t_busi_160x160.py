# LSMS-T on BUSI breast ultrasound with MedVLSM's full expressions (p6), 160 x 160, visual weights from scratch.
#   python tools/train.py configs/lsms/lsms-t_busi_160x160.py
#   python tools/test.py configs/lsms/lsms-t_busi_160x160.py CHECKPOINT --out DIR [--shuffle-text]
# The text encoder here is MiniLM in a local folder: --cfg-options model.text_encoder.pretrained=DIR; without it
# model.text_encoder.pretrained=scratch. Layout of the data: docs/datasets.md. Figures: docs/results.md.
_base_ = './lsms-t_refhl_480x480.py'
dataset_type = 'TextSegDataset'
data_root = 'data/busi_medvlsm'
data_prefix = dict(img_path='images', seg_map_path='masks')
size = (160, 160)
# Sentences name places ("at the top left"), so no flips.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='RandomRotate', prob=0.5, degree=10),
    dict(type='PhotoMetricDistortion'),
    dict(type='PickText', mode='random'),
    dict(type='TokenizeText', tokenizer={{_base_.tokenizer}}, max_tokens=48),
    dict(type='PackTextSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='LoadMask'),
    dict(type='PickText', mode='first'),
    dict(type='TokenizeText', tokenizer={{_base_.tokenizer}}, max_tokens=48),
    dict(type='PackTextSegInputs'),
]
common = dict(
    type=dataset_type, data_root=data_root, data_prefix=data_prefix, prompt='p6', expressions='group', _delete_=True
)
train_dataloader = dict(batch_size=8, dataset=dict(**common, ann_file='anns/train.json', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8, dataset=dict(**common, ann_file='anns/val.json', test_mode=True, pipeline=test_pipeline)
)
test_dataloader = dict(
    batch_size=8, dataset=dict(**common, ann_file='anns/test.json', test_mode=True, pipeline=test_pipeline)
)
model = dict(backbone=dict(init_cfg=None))
max_epochs = 28
optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    # A pretrained BERT learns ten times slower than visual weights that start from nothing.
    paramwise_cfg=dict(custom_keys={'text_encoder': dict(lr_mult=0.1)}),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='PolyLR', power=0.9, begin=1, end=max_epochs, eta_min=0.0, by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=2)
