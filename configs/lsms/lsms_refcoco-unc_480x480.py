# LSMS on RefCOCO (UNC's split): the paper's encoder, decoder, losses and optimizer on natural images, 40 epochs.
#   python tools/convert_dataset.py refcoco --src DIR --out data/refcoco_unc --dataset refcoco --split-by unc
#   python tools/train.py configs/lsms/lsms_refcoco-unc_480x480.py
#   python tools/test.py configs/lsms/lsms_refcoco-unc_480x480.py CHECKPOINT --out DIR
# testB: --cfg-options test_dataloader.dataset.ann_file=testB.jsonl. Layout of the data: docs/datasets.md.
# The paper has no figure for it, and none was measured here: no data, no accelerator.
_base_ = [
    '../_base_/models/lsms.py',
    '../_base_/datasets/refcoco_480x480.py',
    '../_base_/schedules/lsms_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
# 106,000 steps of 16 objects; the paper's 100 epochs are of a set twenty times smaller.
max_epochs = 40
param_scheduler = [
    dict(type='PolyLR', power=0.9, begin=0, end=max_epochs, eta_min=0.0, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=max_epochs)
