# LSMS on RefHL-Seg, the paper's recipe (IV-C): base encoder from SegNeXt weights, BERT, 480 x 480, batch 16.
#   python tools/train.py configs/lsms/lsms_refhl_480x480.py
#   python tools/test.py configs/lsms/lsms_refhl_480x480.py CHECKPOINT --out DIR
# The data are private; `make refhl-phantom` puts a made-up stand-in at data/refhl.
# The paper reports Dice 78.34, mIoU 70.31 (per-image, RefHL-Seg val). Not reproduced here: no data, no accelerator.
_base_ = [
    '../_base_/models/lsms.py',
    '../_base_/datasets/refhl_480x480.py',
    '../_base_/schedules/lsms_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
