# MPTPN small (C = 16) on BUSI with MedVLSM's full expressions (p6), 224 x 224, from random weights, for CPUs.
#   python tools/train.py configs/mptpn/mptpn-c16_busi_224x224.py
#   python tools/test.py configs/mptpn/mptpn-c16_busi_224x224.py CHECKPOINT --out DIR
# The text encoder here is MiniLM in a local folder: --cfg-options model.text_encoder.pretrained=DIR.
# Reached on test, trained for 4 epochs instead of 12 (33 minutes on one thread): Dice 60.63, IoU 48.72
# (docs/results.md).
_base_ = [
    '../_base_/models/mptpn.py',
    '../_base_/datasets/busi_160x160.py',
    '../_base_/schedules/mptpn_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
size = (224, 224)
num_text_tokens = 48
widths = [16, 32, 64]
model = dict(
    backbone=dict(base_channels=widths[0], num_text_tokens=num_text_tokens, init_cfg=None),
    decode_head=dict(in_channels=widths),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='RandomRotate', prob=0.5, degree=10),
    dict(type='PhotoMetricDistortion'),
    dict(type='PickText', mode='random'),
    dict(type='TokenizeText', tokenizer={{_base_.tokenizer}}, max_tokens=num_text_tokens),
    dict(type='PackTextSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='LoadMask'),
    dict(type='PickText', mode='first'),
    dict(type='TokenizeText', tokenizer={{_base_.tokenizer}}, max_tokens=num_text_tokens),
    dict(type='PackTextSegInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
max_epochs = 12
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='PolyLR', power=0.9, begin=0, end=max_epochs, eta_min=0.0, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=max_epochs, val_interval=2)
