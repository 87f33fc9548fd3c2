# A stock Swin-T with MPTPN's decoder on QaTa-COV19, 224 x 224: text enters in the head, by SVLA's language branch.
#   python tools/convert_dataset.py qata-cov19 --src DIR --out data/qata_cov19
#   python tools/train.py configs/mixing/swin-t_msff-up-attention-head_qata-cov19_224x224.py
#   python tools/test.py configs/mixing/swin-t_msff-up-attention-head_qata-cov19_224x224.py CHECKPOINT --out DIR
# Swin begins at stride 4, so the mask is made at a quarter of the size, where PPE makes it whole. Its fourth stage,
# which the decoder has no place for, is not computed. Not run: the data are not at hand.
_base_ = [
    'mmseg::_base_/models/upernet_swin.py',
    '../_base_/datasets/text_seg_224x224.py',
    '../_base_/schedules/lsms_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
text_channels = 768
model = dict(
    type='TextEncoderDecoder',
    data_preprocessor=dict(size_divisor=32, test_cfg=dict(size_divisor=32)),
    text_encoder=dict(type='BertTextEncoder', pretrained='bert-base-uncased'),
    backbone=dict(
        depths=[2, 2, 6],
        num_heads=[3, 6, 12],
        strides=(4, 2, 2),
        out_indices=(0, 1, 2),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/'
            'swin_tiny_patch4_window7_224_20220317-1cdeb081.pth',
        ),
    ),
    decode_head=dict(
        _delete_=True,
        type='MSFFUpAttentionHead',
        in_channels=[96, 192, 384],
        text_channels=text_channels,
        text_fusion=dict(type='LanguageFusion'),
    ),
    auxiliary_head=None,
)
common = dict(
    type='QaTaCOV19Dataset',
    data_root='data/qata_cov19',
    data_prefix=dict(img_path='images', seg_map_path='masks'),
)
train_dataloader = dict(dataset=dict(**common, ann_file='train.jsonl'))
val_dataloader = dict(dataset=dict(**common, ann_file='val.jsonl'))
test_dataloader = dict(dataset=dict(**common, ann_file='test.jsonl'))
optim_wrapper = dict(optimizer=dict(lr=1e-4))
