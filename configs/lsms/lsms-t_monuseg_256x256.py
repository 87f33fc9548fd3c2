# LSMS-T on MoNuSeg nuclei with LViT's sentences, 256 x 256, visual weights from scratch.
#   python tools/train.py configs/lsms/lsms-t_monuseg_256x256.py
#   python tools/test.py configs/lsms/lsms-t_monuseg_256x256.py CHECKPOINT --out DIR [--shuffle-text]
# The text encoder here is MiniLM in a local folder: --cfg-options model.text_encoder.pretrained=DIR; without it
# model.text_encoder.pretrained=scratch. Layout of the data: docs/datasets.md. Figures: docs/results.md.
_base_ = './lsms-t_refhl_480x480.py'
dataset_type = 'TextSegDataset'
data_root = 'data/monuseg_lvit'
size = (256, 256)
# Sentences name places ("the lower left"), so no flips.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='PhotoMetricDistortion'),
    dict(type='TokenizeText', tokenizer={{_base_.tokenizer}}),
    dict(type='PackTextSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='LoadMask'),
    dict(type='TokenizeText', tokenizer={{_base_.tokenizer}}),
    dict(type='PackTextSegInputs'),
]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_root=f'{data_root}/Train_Folder',
        data_prefix=dict(img_path='img', seg_map_path='labelcol'),
        ann_file='Train_text.xlsx',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_root=f'{data_root}/Val_Folder',
        data_prefix=dict(img_path='img', seg_map_path='labelcol'),
        ann_file='Val_text.xlsx',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_root=f'{data_root}/Test_Folder',
        data_prefix=dict(img_path='img', seg_map_path='labelcol'),
        ann_file='Test_text.xlsx',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
model = dict(backbone=dict(init_cfg=None))
max_epochs = 120
optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    # A pretrained BERT learns ten times slower than visual weights that start from nothing.
    paramwise_cfg=dict(custom_keys={'text_encoder': dict(lr_mult=0.1)}),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='PolyLR', power=0.9, begin=5, end=max_epochs, eta_min=0.0, by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=10)
