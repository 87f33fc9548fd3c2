"""Backbone and head of a tiny LSMS, without chance."""

LSMS = dict(
    backbone=dict(
        type='SVLAEncoder',
        arch=dict(widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratios=(2, 2, 2, 2)),
        text_channels=16,
        drop_path_rate=0.0,
    ),
    decode_head=dict(
        type='FullScaleHead',
        in_channels=(16, 24, 32),
        ham_channels=16,
        channels=16,
        rank=4,
        norm_cfg=dict(type='GN', num_groups=4),
        text_channels=16,
        dropout_ratio=0.0,
        loss_decode=dict(type='BoundaryWeightedSegLoss'),
        loss_contrast=dict(type='VisionLanguageContrastiveLoss'),
    ),
)
