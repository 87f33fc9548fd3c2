# RefCOCO by UNC's split, as tools/convert_dataset.py refcoco writes it. In training an item is an object, with one of
# its sentences each epoch; in evaluation every sentence is an item.
dataset_type = 'RefCOCODataset'
data_root = 'data/refcoco_unc'
tokenizer = 'bert-base-uncased'
# With the two special ones. Sentences of RefCOCO have 3.5 words on average, those of RefCOCOg 8.4; the log says once if
# one was cut.
max_tokens = 20
# Sentences name sides ("left guy"), so nothing is flipped.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='Resize', scale=(480, 480), keep_ratio=False),
    dict(type='PickText', mode='random'),
    dict(type='TokenizeText', tokenizer=tokenizer, max_tokens=max_tokens),
    dict(type='PackTextSegInputs'),
]
# The mask is loaded after resizing: evaluation is at the picture's own size.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(480, 480), keep_ratio=False),
    dict(type='LoadMask'),
    dict(type='TokenizeText', tokenizer=tokenizer, max_tokens=max_tokens),
    dict(type='PackTextSegInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='train.jsonl',
        expressions='group',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, data_root=data_root, ann_file='val.jsonl', test_mode=True, pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type, data_root=data_root, ann_file='testA.jsonl', test_mode=True, pipeline=test_pipeline
    ),
)
# pooled_iou is the overall IoU (oIoU) of the literature, iou its mean IoU.
val_evaluator = dict(type='TextSegMetric', protocol=['lvit', 'ris'])
test_evaluator = dict(type='TextSegMetric', protocol=['lvit', 'ris'])
