# LViT at the paper's width (C = 64) on COVID-19 infection in chest X-rays (QaTa-COV19), its splits, 224 x 224.
#   python tools/convert_dataset.py qata-cov19 --src DIR --out data/qata_cov19
#   python tools/train.py configs/lvit/lvit_qata-cov19_224x224.py
# Paper: Dice 83.66, IoU 75.11 (LViT-T). Not run here: the data are not at hand. Layout: docs/datasets.md.
_base_ = [
    '../_base_/models/lvit.py',
    '../_base_/datasets/text_seg_224x224.py',
    '../_base_/schedules/lvit_2000e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
common = dict(
    type='QaTaCOV19Dataset',
    data_root='data/qata_cov19',
    data_prefix=dict(img_path='images', seg_map_path='masks'),
)
train_dataloader = dict(batch_size=2, dataset=dict(**common, ann_file='train.jsonl'))
val_dataloader = dict(dataset=dict(**common, ann_file='val.jsonl'))
test_dataloader = dict(dataset=dict(**common, ann_file='test.jsonl'))
