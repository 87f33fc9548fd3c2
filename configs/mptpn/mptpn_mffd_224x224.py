# MPTPN stage 2 on flowers of fruit trees (MFFD) with BLIP's captions, 224 x 224.
#   python tools/train.py configs/mptpn/mptpn_mffd_224x224.py [--init-from CHECKPOINT_OF_STAGE_1]
# The paper takes 26 training and 10 test images and captions them with BLIP; neither is published.
# Paper: Dice 79.92, mIoU 67.14, Acc 97.11. Not run here: the data are not at hand. Layout: docs/datasets.md.
_base_ = [
    '../_base_/models/mptpn.py',
    '../_base_/datasets/text_seg_224x224.py',
    '../_base_/schedules/mptpn_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
data_root = 'data/mffd'
train_dataloader = dict(dataset=dict(type='MFFDDataset', data_root=data_root, ann_file='train.csv'))
val_dataloader = dict(dataset=dict(type='MFFDDataset', data_root=data_root, ann_file='val.csv'))
test_dataloader = dict(dataset=dict(type='MFFDDataset', data_root=data_root, ann_file='test.csv'))
