default_scope = 'mmseg'
# MMSegmentation's own tools import the package through this line.
custom_imports = dict(imports=['mmseg_textseg'], allow_failed_imports=False)
# Whole checkpoints, bit-exact --resume, a checkpoint at SIGTERM: docs/reliability.md.
runner_type = 'TextSegRunner'
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='TextSegVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(by_epoch=True)
log_level = 'INFO'
load_from = None
resume = False
