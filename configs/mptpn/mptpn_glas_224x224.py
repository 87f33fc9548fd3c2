# MPTPN stage 2 on glands (GlaS) with sentences in LViT's style, 224 x 224.
#   python tools/train.py configs/mptpn/mptpn_glas_224x224.py [--init-from CHECKPOINT_OF_STAGE_1]
# The paper takes 35 training and 11 test images and writes its own sentences; neither is published.
# Paper: Dice 88.12, mIoU 79.30, Acc 89.80. Not run here: the data are not at hand. Layout: docs/datasets.md.
_base_ = [
    '../_base_/models/mptpn.py',
    '../_base_/datasets/text_seg_224x224.py',
    '../_base_/schedules/mptpn_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
data_root = 'data/glas'
train_dataloader = dict(dataset=dict(type='GlaSDataset', data_root=data_root, ann_file='train.csv'))
val_dataloader = dict(dataset=dict(type='GlaSDataset', data_root=data_root, ann_file='val.csv'))
test_dataloader = dict(dataset=dict(type='GlaSDataset', data_root=data_root, ann_file='test.csv'))
