# LAVT, small, on BUSI breast ultrasound with MedVLSM's full expressions (p6), 160 x 160, visual weights from scratch:
# data, schedule and text encoder of configs/lsms/lsms-t_busi_160x160.py, and about as many parameters.
#   python tools/train.py configs/lavt/lavt-t_busi_160x160.py
#   python tools/test.py configs/lavt/lavt-t_busi_160x160.py CHECKPOINT --out DIR [--shuffle-text]
# The text encoder is MiniLM in a local folder: --cfg-options model.text_encoder.pretrained=DIR; without it
# model.text_encoder.pretrained=scratch. Layout of the data: docs/datasets.md.
# Not run to its end here; after 606 iterations (10 minutes on one thread) on test: Dice 71.42, IoU 61.14
# (docs/results.md).
_base_ = [
    '../_base_/models/lavt.py',
    '../_base_/datasets/busi_160x160.py',
    '../_base_/schedules/lsms_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
model = dict(
    backbone=dict(
        embed_dims=40,
        depths=(2, 2, 6, 2),
        num_heads=(2, 4, 8, 16),
        window_size=5,  # divides the maps: 40, 20, 10, 5
        drop_path_rate=0.1,
        init_cfg=None,
    ),
    decode_head=dict(
        in_channels=[40, 80, 160, 320],
        channels=96,
        loss_decode=[
            dict(type='CrossEntropyLoss', class_weight=[0.9, 1.1]),
            # Not LAVT's: by cross-entropy alone a small foreground is not marked at first (docs/results.md).
            dict(type='DiceLoss', use_sigmoid=False, ignore_index=0),
        ],
    ),
)
max_epochs = 28
optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    paramwise_cfg=dict(
        custom_keys={
            # A pretrained BERT learns ten times slower than visual weights that start from nothing.
            'text_encoder': dict(lr_mult=0.1),
            'relative_position_bias_table': dict(lr_mult=1.0, decay_mult=0.0),
        }
    ),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='PolyLR', power=0.9, begin=1, end=max_epochs, eta_min=0.0, by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=2)
