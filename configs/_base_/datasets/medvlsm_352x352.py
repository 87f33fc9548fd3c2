# Any of the datasets with MedVLSM's prompts, level p6; one item a mask, one of its sentences each epoch. The folder is
# the inheriting config's.
dataset_type = 'MedVLSMDataset'
tokenizer = 'bert-base-uncased'
size = (352, 352)
# Masks saved as jpg (Kvasir-SEG, BKAI) have a background that is not quite 0.
threshold = 128
# Sentences name places ("located in top right of the image"), so nothing is flipped.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask', threshold=threshold),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='PhotoMetricDistortion'),
    dict(type='PickText', mode='random'),
    dict(type='TokenizeText', tokenizer=tokenizer, max_tokens=48),
    dict(type='PackTextSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='LoadMask', threshold=threshold),
    dict(type='PickText', mode='first'),
    dict(type='TokenizeText', tokenizer=tokenizer, max_tokens=48),
    dict(type='PackTextSegInputs'),
]
# text_column is the class's own; where a vocabulary is built (model.text_encoder.pretrained=scratch) it has to be said.
common = dict(type=dataset_type, prompts=('p6',), text_column='prompts', expressions='group')
train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**common, ann_file='anns/train.json', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**common, ann_file='anns/val.json', test_mode=True, pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**common, ann_file='anns/test.json', test_mode=True, pipeline=test_pipeline),
)
val_evaluator = dict(type='TextSegMetric')
test_evaluator = dict(type='TextSegMetric')
