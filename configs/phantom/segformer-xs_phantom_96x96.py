# MMSegmentation's SegFormer, small (1.5 M parameters), which sees no text, on the easy phantom, 96 x 96: a
# text-free peer of lsms-xs_phantom_96x96.py, with its iterations, batches and learning rate.
#   python tools/train.py configs/phantom/segformer-xs_phantom_96x96.py
#   python tools/test.py configs/phantom/segformer-xs_phantom_96x96.py CHECKPOINT --out DIR
# All it can do is to mark lesions that any sentence may mean. Not run to its end.
_base_ = [
    '../_base_/models/segformer.py',
    '../_base_/datasets/phantom_96x96.py',
    '../_base_/schedules/phantom_800i.py',
    '../default_runtime.py',
]
widths = [24, 48, 96, 168]
model = dict(
    backbone=dict(embed_dims=24, num_heads=[1, 2, 4, 7], drop_path_rate=0.0),
    decode_head=dict(in_channels=widths, channels=96),
)
log_processor = dict(by_epoch=False)
