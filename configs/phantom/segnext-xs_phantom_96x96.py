# MMSegmentation's SegNeXt, small (1.5 M parameters), which sees no text, on the easy phantom, 96 x 96: a
# text-free peer of lsms-xs_phantom_96x96.py, with its iterations, batches and learning rate.
#   python tools/train.py configs/phantom/segnext-xs_phantom_96x96.py
#   python tools/test.py configs/phantom/segnext-xs_phantom_96x96.py CHECKPOINT --out DIR
# All it can do is to mark lesions that any sentence may mean. Not run to its end.
_base_ = [
    '../_base_/models/segnext.py',
    '../_base_/datasets/phantom_96x96.py',
    '../_base_/schedules/phantom_800i.py',
    '../default_runtime.py',
]
widths = [32, 64, 128, 160]
model = dict(
    backbone=dict(embed_dims=widths, depths=[2, 2, 2, 2], mlp_ratios=[4, 4, 4, 4], drop_path_rate=0.0),
    decode_head=dict(in_channels=widths[1:], ham_channels=128, channels=64, norm_cfg=dict(type='GN', num_groups=16)),
)
log_processor = dict(by_epoch=False)
