# LSMS-T on BUSI breast ultrasound with MedVLSM's full expressions (p6), 160 x 160, visual weights from scratch.
#   python tools/train.py configs/lsms/lsms-t_busi_160x160.py
#   python tools/test.py configs/lsms/lsms-t_busi_160x160.py CHECKPOINT --out DIR [--shuffle-text]
# The text encoder here is MiniLM in a local folder: --cfg-options model.text_encoder.pretrained=DIR; without it
# model.text_encoder.pretrained=scratch. Layout of the data: docs/datasets.md.
# Reached on test: Dice 77.47, IoU 67.71 with 20 epochs instead of 28 (54 minutes on one thread); an earlier state of
# the code 78.26, 68.78, with shuffled sentences 46.37, 38.98 (one hour, stopped in epoch 26; docs/results.md).
_base_ = [
    '../_base_/models/lsms.py',
    '../_base_/datasets/busi_160x160.py',
    '../_base_/schedules/lsms_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
widths = [32, 64, 160, 256]
model = dict(
    backbone=dict(arch='tiny', init_cfg=None),
    decode_head=dict(in_channels=widths[1:], ham_channels=256, rank=16),
)
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
