# LViT: Adam, 3e-4, until validation has not improved for 50 epochs. Cosine to 1e-4 with a restart every 10 epochs and
# the limit of 2000 epochs are the release's.
max_epochs = 2000
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=3e-4))
param_scheduler = [
    dict(
        type='CosineRestartLR',
        periods=[10] * (max_epochs // 10),
        restart_weights=[1] * (max_epochs // 10),
        eta_min=1e-4,
        begin=0,
        end=max_epochs,
        by_epoch=True,
    )
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=10),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='dice', rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='TextSegVisualizationHook'),
)
custom_hooks = [dict(type='EarlyStoppingHook', monitor='dice', rule='greater', min_delta=0.0, patience=50, strict=True)]
