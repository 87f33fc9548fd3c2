# RefHL-Seg: one row an expression, the mask only the lesion that it names. No augmentation (LSMS IV-C).
dataset_type = 'RefHLSegDataset'
data_root = 'data/refhl'
tokenizer = 'bert-base-uncased'
# The paper's own full expression has 33 BERT tokens; the precursor's 20 would cut boundary and enhancement off.
max_tokens = 48
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='Resize', scale=(480, 480), keep_ratio=False),
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
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type=dataset_type, data_root=data_root, ann_file='train.jsonl', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, data_root=data_root, ann_file='val.jsonl', test_mode=True, pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, data_root=data_root, ann_file='test.jsonl', test_mode=True, pipeline=test_pipeline),
)
val_evaluator = dict(type='TextSegMetric')
test_evaluator = dict(type='TextSegMetric')
