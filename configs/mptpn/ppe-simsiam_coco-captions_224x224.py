# MPTPN stage 1 as the paper has it: PPE on 5,000 COCO images with their first captions, 224 x 224, SGD.
#   python tools/train.py configs/mptpn/ppe-simsiam_coco-captions_224x224.py
# Stage 2 starts from its last checkpoint: configs/mptpn/mptpn_monuseg_224x224.py. Data: docs/datasets.md.
# Not run here: neither COCO nor an accelerator is at hand.
_base_ = [
    '../_base_/models/ppe_simsiam.py',
    '../_base_/datasets/two_views_224x224.py',
    '../_base_/schedules/simsiam_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
train_dataloader = dict(
    dataset=dict(
        data_root='data/coco',
        ann_file='annotations/captions_train2017.json',
        data_prefix=dict(img_path='train2017'),
        captions='first',
        num_images=5000,
    )
)
