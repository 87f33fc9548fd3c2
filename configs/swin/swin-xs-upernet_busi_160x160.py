# MMSegmentation's Swin and UPerHead, which see no text, on BUSI, 160 x 160: a text-free peer of
# configs/lsms/lsms-t_busi_160x160.py.
#   python tools/train.py configs/swin/swin-xs-upernet_busi_160x160.py
#   python tools/test.py configs/swin/swin-xs-upernet_busi_160x160.py CHECKPOINT --out DIR
# From random weights, with losses and schedule of configs/unet/unet-c16_busi_160x160.py. Not run to its end.
_base_ = [
    '../_base_/models/swin_upernet.py',
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
# UPerHead normalises 1 x 1 maps over the batch, which one image left over would not do.
train_dataloader = dict(drop_last=True)
