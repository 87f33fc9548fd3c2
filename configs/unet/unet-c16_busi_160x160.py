# MMSegmentation's U-Net, which sees no text, on BUSI, 160 x 160: the baseline of
# configs/lsms/lsms-t_busi_160x160.py.
#   python tools/train.py configs/unet/unet-c16_busi_160x160.py
#   python tools/test.py configs/unet/unet-c16_busi_160x160.py CHECKPOINT --out DIR
# Reached on test, trained for 12 epochs instead of 40 (22 minutes on one thread): Dice 65.70, IoU 56.17
# (docs/results.md).
_base_ = [
    '../_base_/models/unet.py',
    '../_base_/datasets/busi_160x160.py',
    '../_base_/schedules/lsms_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
max_epochs = 40
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='PolyLR', power=0.9, begin=0, end=max_epochs, eta_min=0.0, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=max_epochs, val_interval=2)
