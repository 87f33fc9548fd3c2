# The easy phantom of the demos: made-up CT slices, one row an expression, the mask only the lesion that it names.
#   python tools/make_phantom.py --out data/phantom_96 --cases 120 --size 96 --difficulty easy --lesions 2 4
dataset_type = 'RefHLSegDataset'
data_root = 'data/phantom_96'
vocabulary = dict(build_from=f'{data_root}/train.jsonl')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='Resize', scale=(96, 96), keep_ratio=False),
    dict(type='TokenizeText', tokenizer=vocabulary),
    dict(type='PackTextSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96), keep_ratio=False),
    dict(type='LoadMask'),
    dict(type='TokenizeText', tokenizer=vocabulary),
    dict(type='PackTextSegInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type=dataset_type, data_root=data_root, ann_file='train.jsonl', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, data_root=data_root, ann_file='val.jsonl', test_mode=True, pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, data_root=data_root, ann_file='test.jsonl', test_mode=True, pipeline=test_pipeline),
)
val_evaluator = dict(type='TextSegMetric')
test_evaluator = dict(type='TextSegMetric')
