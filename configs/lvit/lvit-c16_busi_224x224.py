# LViT small (C = 16, 2.0 M parameters beside BERT) on BUSI with MedVLSM's full expressions (p6), 224 x 224, for CPUs.
#   python tools/train.py configs/lvit/lvit-c16_busi_224x224.py
#   python tools/test.py configs/lvit/lvit-c16_busi_224x224.py CHECKPOINT --out DIR
# --cfg-options model.text_encoder.pretrained=DIR is a folder with a BERT, such as MiniLM. Epochs, rate and augmentation
# are those of configs/mptpn/mptpn-c16_busi_224x224.py, the peer that it is compared with.
# Not run to its end here; after 429 iterations (10 minutes on one thread) on test: Dice 62.30, IoU 51.77
# (docs/results.md).
_base_ = [
    '../_base_/models/lvit.py',
    '../_base_/datasets/busi_160x160.py',
    '../_base_/schedules/lvit_2000e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
size = (224, 224)
num_text_tokens = 48
widths = [16, 32, 64, 128, 128]
model = dict(
    backbone=dict(base_channels=widths[0], num_text_tokens=num_text_tokens),
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
custom_hooks = []
