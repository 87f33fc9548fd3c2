# LViT at the paper's width (C = 64) on MoNuSeg nuclei with its sentences and splits, 224 x 224.
#   python tools/train.py configs/lvit/lvit_monuseg_224x224.py
# Paper: Dice 80.36, IoU 67.31 (LViT-T); 79.98, 66.83 from random weights, as here. Not run at this width here.
_base_ = [
    '../_base_/models/lvit.py',
    '../_base_/datasets/text_seg_224x224.py',
    '../_base_/schedules/lvit_2000e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
data_root = 'data/monuseg_lvit'
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_dataloader = dict(
    batch_size=2,
    dataset=dict(type='MoNuSegDataset', data_root=f'{data_root}/Train_Folder', ann_file='Train_text.xlsx'),
)
val_dataloader = dict(
    dataset=dict(type='MoNuSegDataset', data_root=f'{data_root}/Val_Folder', ann_file='Val_text.xlsx')
)
test_dataloader = dict(
    dataset=dict(type='MoNuSegDataset', data_root=f'{data_root}/Test_Folder', ann_file='Test_text.xlsx')
)
