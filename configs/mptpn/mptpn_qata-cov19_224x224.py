# MPTPN stage 2 on COVID-19 infection in chest X-rays (QaTa-COV19) with LViT's sentences, 224 x 224.
#   python tools/convert_dataset.py qata-cov19 --src DIR --out data/qata_cov19
#   python tools/train.py configs/mptpn/mptpn_qata-cov19_224x224.py [--init-from CHECKPOINT_OF_STAGE_1]
# The paper takes 50 training and 10 test images that it does not name; these are LViT's splits, whole.
# Paper: Dice 91.53, mIoU 85.67, Acc 95.01. Not run here: the data are not at hand. Layout: docs/datasets.md.
_base_ = [
    '../_base_/models/mptpn.py',
    '../_base_/datasets/text_seg_224x224.py',
    '../_base_/schedules/mptpn_100e.py',
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
