# MoNuSeg nuclei in LViT's layout, a sentence an image.
dataset_type = 'MoNuSegDataset'
tokenizer = 'bert-base-uncased'
data_root = 'data/monuseg_lvit'
size = (512, 512)
# Sentences name places ("the lower left"), so no flips.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='PhotoMetricDistortion'),
    dict(type='TokenizeText', tokenizer=tokenizer),
    dict(type='PackTextSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='LoadMask'),
    dict(type='TokenizeText', tokenizer=tokenizer),
    dict(type='PackTextSegInputs'),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=f'{data_root}/Train_Folder',
        ann_file='Train_text.xlsx',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=f'{data_root}/Val_Folder',
        ann_file='Val_text.xlsx',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=f'{data_root}/Test_Folder',
        ann_file='Test_text.xlsx',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='TextSegMetric')
test_evaluator = dict(type='TextSegMetric')
