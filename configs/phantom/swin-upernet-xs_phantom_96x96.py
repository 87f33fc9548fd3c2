# MMSegmentation's Swin and UPerHead, small (1.6 M parameters), which see no text, on the easy phantom, 96 x 96: a
# text-free peer of lsms-xs_phantom_96x96.py, with its iterations, batches and learning rate.
#   python tools/train.py configs/phantom/swin-upernet-xs_phantom_96x96.py
#   python tools/test.py configs/phantom/swin-upernet-xs_phantom_96x96.py CHECKPOINT --out DIR
# All they can do is to mark lesions that any sentence may mean. Not run to its end.
_base_ = [
    '../_base_/models/swin_upernet.py',
    '../_base_/datasets/phantom_96x96.py',
    '../_base_/schedules/phantom_800i.py',
    '../default_runtime.py',
]
widths = [24, 48, 96, 192]
model = dict(
    # Windows of 6 for maps 24, 12 and 6 wide; the last, 3 wide, is padded.
    backbone=dict(embed_dims=widths[0], num_heads=[1, 2, 4, 8], window_size=6, drop_path_rate=0.0),
    decode_head=dict(in_channels=widths, channels=48),
)
log_processor = dict(by_epoch=False)
