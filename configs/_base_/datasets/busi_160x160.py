# BUSI breast ultrasound with MedVLSM's expressions, level p6; one item an image, one of its sentences each epoch.
dataset_type = 'MedVLSMDataset'
tokenizer = 'bert-base-uncased'
data_root = 'data/busi_medvlsm'
size = (160, 160)
# Sentences name places ("at the top left"), so no flips.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='RandomRotate', prob=0.5, degree=10),
    dict(type='PhotoMetricDistortion'),
    dict(type='PickText', mode='random'),
    dict(type='TokenizeText', tokenizer=tokenizer, max_tokens=48),
    dict(type='PackTextSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='LoadMask'),
    dict(type='PickText', mode='first'),
    dict(type='TokenizeText', tokenizer=tokenizer, max_tokens=48),
    dict(type='PackTextSegInputs'),
]
# text_column is the class's own; where a vocabulary is built (model.text_encoder.pretrained=scratch) it has to be said.
common = dict(type=dataset_type, data_root=data_root, prompts=('p6',), text_column='prompts', expressions='group')
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**common, ann_file='anns/train.json', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**common, ann_file='anns/val.json', test_mode=True, pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**common, ann_file='anns/test.json', test_mode=True, pipeline=test_pipeline),
)
val_evaluator = dict(type='TextSegMetric')
test_evaluator = dict(type='TextSegMetric')
