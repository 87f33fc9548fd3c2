# MMSegmentation's SegNeXt-T, which sees no text, on BUSI, 160 x 160: the text-free peer of
# configs/lsms/lsms-t_busi_160x160.py, whose encoder has the same widths and depths.
#   python tools/train.py configs/segnext/segnext-t_busi_160x160.py
#   python tools/test.py configs/segnext/segnext-t_busi_160x160.py CHECKPOINT --out DIR
# From random weights, with losses and schedule of configs/unet/unet-c16_busi_160x160.py. Not run to its
# end; after 565 iterations (10 minutes on one thread) on test: Dice 55.13, IoU 45.31 (docs/results.md).
_base_ = [
    '../_base_/models/segnext.py',
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
