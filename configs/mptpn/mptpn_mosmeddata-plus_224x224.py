# MPTPN stage 2 on COVID-19 infection in CT slices (MosMedData+) with LViT's sentences and splits, 224 x 224.
#   python tools/convert_dataset.py mosmeddata-plus --src DIR --out data/mosmeddata_plus
#   python tools/train.py configs/mptpn/mptpn_mosmeddata-plus_224x224.py [--init-from CHECKPOINT_OF_STAGE_1]
# The paper has no figure for it. Not run here: the data are not at hand. Layout: docs/datasets.md.
_base_ = [
    '../_base_/models/mptpn.py',
    '../_base_/datasets/text_seg_224x224.py',
    '../_base_/schedules/mptpn_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
common = dict(
    type='MosMedDataPlusDataset',
    data_root='data/mosmeddata_plus',
    data_prefix=dict(img_path='images', seg_map_path='masks'),
)
train_dataloader = dict(dataset=dict(**common, ann_file='train.jsonl'))
val_dataloader = dict(dataset=dict(**common, ann_file='val.jsonl'))
test_dataloader = dict(dataset=dict(**common, ann_file='test.jsonl'))
