# LSMS on COVID-19 infection in chest X-rays (QaTa-COV19) with LViT's sentences: the paper's recipe (IV-C), 480 x 480.
#   python tools/convert_dataset.py qata-cov19 --src DIR --out data/qata_cov19
#   python tools/train.py configs/lsms/lsms_qata-cov19_480x480.py
#   python tools/test.py configs/lsms/lsms_qata-cov19_480x480.py CHECKPOINT --out DIR [--partial-text 0.5]
# The paper: 9,258 X-rays, validation split from the training set; which part it does not say, these are LViT's.
# Not run here: the data are not at hand, no accelerator. Layout: docs/datasets.md.
_base_ = [
    '../_base_/models/lsms.py',
    '../_base_/datasets/text_seg_480x480.py',
    '../_base_/schedules/lsms_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
common = dict(
    type='QaTaCOV19Dataset',
    data_root='data/qata_cov19',
    data_prefix=dict(img_path='images', seg_map_path='masks'),
)
train_dataloader = dict(dataset=dict(**common, ann_file='train.jsonl'))
val_dataloader = dict(dataset=dict(**common, ann_file='val.jsonl'))
test_dataloader = dict(dataset=dict(**common, ann_file='test.jsonl'))
