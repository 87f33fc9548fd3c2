# MMSegmentation's U-Net, which sees no text, on the easy phantom, 96 x 96: the baseline of lsms-xs_phantom_96x96.py,
# with its iterations, batches and learning rate. All it can do is to mark lesions that any sentence may mean.
#   python tools/train.py configs/phantom/unet-c16_phantom_96x96.py
#   python tools/test.py configs/phantom/unet-c16_phantom_96x96.py CHECKPOINT --out DIR
# Reached: Dice 44.2, IoU 31.7; marking every lesion of a slice scores 46.1 (docs/results.md).
_base_ = [
    '../_base_/models/unet.py',
    '../_base_/datasets/phantom_96x96.py',
    '../_base_/schedules/phantom_800i.py',
    '../default_runtime.py',
]
log_processor = dict(by_epoch=False)
