# LViT at the paper's width (C = 64) on COVID-19 infection in CT slices (MosMedData+), its splits, 224 x 224.
#   python tools/convert_dataset.py mosmeddata-plus --src DIR --out data/mosmeddata_plus
#   python tools/train.py configs/lvit/lvit_mosmeddata-plus_224x224.py
# Paper: Dice 74.57, IoU 61.33 (LViT-T). Not run here: the data are not at hand. Layout: docs/datasets.md.
_base_ = [
    '../_base_/models/lvit.py',
    '../_base_/datasets/text_seg_224x224.py',
    '../_base_/schedules/lvit_2000e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
common = dict(
    type='MosMedDataPlusDataset',
    data_root='data/mosmeddata_plus',
    data_prefix=dict(img_path='images', seg_map_path='masks'),
)
train_dataloader = dict(batch_size=2, dataset=dict(**common, ann_file='train.jsonl'))
val_dataloader = dict(dataset=dict(**common, ann_file='val.jsonl'))
test_dataloader = dict(dataset=dict(**common, ann_file='test.jsonl'))
