# MPTPN stage 2 at the paper's width (C = 64) on MoNuSeg nuclei with LViT's sentences, 224 x 224.
#   python tools/train.py configs/mptpn/mptpn_monuseg_224x224.py
# from the checkpoint of configs/mptpn/ppe-simsiam_coco-captions_224x224.py, or of another stage 1:
#   python tools/train.py configs/mptpn/mptpn_monuseg_224x224.py --init-from CHECKPOINT
# Paper: Dice 80.59, mIoU 67.59, Acc 90.85. Not run at this width here; the small one: docs/results.md.
_base_ = [
    '../_base_/models/mptpn.py',
    '../_base_/datasets/text_seg_224x224.py',
    '../_base_/schedules/mptpn_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
data_root = 'data/monuseg_lvit'
train_dataloader = dict(
    dataset=dict(type='MoNuSegDataset', data_root=f'{data_root}/Train_Folder', ann_file='Train_text.xlsx')
)
val_dataloader = dict(
    dataset=dict(type='MoNuSegDataset', data_root=f'{data_root}/Val_Folder', ann_file='Val_text.xlsx')
)
test_dataloader = dict(
    dataset=dict(type='MoNuSegDataset', data_root=f'{data_root}/Test_Folder', ann_file='Test_text.xlsx')
)
