# Two views of an image and its caption at 224 x 224 (MPTPN stage 1). The dataset is the inheriting config's.
tokenizer = 'bert-base-uncased'
size = (224, 224)
# With the two special ones; 10 would cut "The nuclei density in the upper right is high."
num_text_tokens = 24
# Captions name places: views differ in colour and sharpness, never by a flip or a crop.
view_transforms = [
    dict(
        type='RandomApply',
        transforms=[dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)],
        prob=0.8,
    ),
    dict(type='RandomGrayscale', prob=0.2, keep_channels=True, channel_weights=(0.114, 0.587, 0.299)),
    dict(type='RandomApply', transforms=[dict(type='GaussianBlur', sigma=(0.1, 2.0))], prob=0.5),
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='TokenizeText', tokenizer=tokenizer, max_tokens=num_text_tokens),
    dict(type='TwoViews', transforms=view_transforms),
    dict(type='PackViews'),
]
train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='ImageCaptionDataset', pipeline=train_pipeline),
)
