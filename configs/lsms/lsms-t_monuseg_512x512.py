# LSMS-T on MoNuSeg nuclei with LViT's sentences, 512 x 512, visual weights from scratch.
#   python tools/train.py configs/lsms/lsms-t_monuseg_512x512.py
#   python tools/test.py configs/lsms/lsms-t_monuseg_512x512.py CHECKPOINT --out DIR [--shuffle-text]
# The text encoder here is MiniLM in a local folder: --cfg-options model.text_encoder.pretrained=DIR; without it
# model.text_encoder.pretrained=scratch. Layout of the data: docs/datasets.md.
# Reached on test: Dice 65.11, IoU 48.38 with 21 epochs instead of 30; an earlier run 65.18, 48.49, the same with
# shuffled sentences (24 minutes on one thread, stopped in epoch 21; docs/results.md).
_base_ = [
    '../_base_/models/lsms.py',
    '../_base_/datasets/monuseg_512x512.py',
    '../_base_/schedules/lsms_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
widths = [32, 64, 160, 256]
model = dict(
    backbone=dict(arch='tiny', init_cfg=None),
    decode_head=dict(in_channels=widths[1:], ham_channels=256, rank=16),
)
max_epochs = 30
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
train_cfg = dict(max_epochs=max_epochs, val_interval=3)
