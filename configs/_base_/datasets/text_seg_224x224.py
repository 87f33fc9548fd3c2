# A sentence an image at 224 x 224 (MPTPN 4.1). The dataset, its folder and its tables are the inheriting config's.
tokenizer = 'bert-base-uncased'
size = (224, 224)
# With the two special ones; 10 would cut "The nuclei density in the upper right is high."
num_text_tokens = 24
# Sentences name places, so nothing is flipped.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='TokenizeText', tokenizer=tokenizer, max_tokens=num_text_tokens),
    dict(type='PackTextSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='LoadMask'),
    dict(type='TokenizeText', tokenizer=tokenizer, max_tokens=num_text_tokens),
    dict(type='PackTextSegInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(test_mode=True, pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(test_mode=True, pipeline=test_pipeline),
)
val_evaluator = dict(type='TextSegMetric')
test_evaluator = dict(type='TextSegMetric')
