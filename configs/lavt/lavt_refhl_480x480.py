# LAVT on RefHL-Seg: the paper's Swin-B (ImageNet-22K), BERT and optimizer, 480 x 480; epochs and batch are LSMS's.
#   python tools/train.py configs/lavt/lavt_refhl_480x480.py
#   python tools/test.py configs/lavt/lavt_refhl_480x480.py CHECKPOINT --out DIR
# The data are private; `make refhl-phantom` puts a made-up stand-in at data/refhl.
# Not run here: no data, no accelerator.
_base_ = [
    '../_base_/models/lavt.py',
    '../_base_/datasets/refhl_480x480.py',
    '../_base_/schedules/lsms_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
# AdamW, 5e-5, weight decay 0.01, poly 0.9; LAVT trained 40 epochs of 32 on the twenty times larger RefCOCO.
optim_wrapper = dict(
    optimizer=dict(lr=5e-5),
    paramwise_cfg=dict(custom_keys={'relative_position_bias_table': dict(lr_mult=1.0, decay_mult=0.0)}),
)
