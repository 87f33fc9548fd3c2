# Do flips help where the text is rewritten with them? The demo's model on few cases (12 to train, 12, 36 to test).
#   python tools/make_phantom.py --out data/phantom_few --cases 60 --size 96 --difficulty easy --lesions 2 4 \
#       --splits 0.2 0.2 0.6
#   python tools/train.py configs/phantom/lsms-xs-flip_phantom_96x96.py
# To compare with (docs/augmentation.md): naive flips, where PickText stands in for SwapDirectionWords (it picks one of
# several sentences, and here there is one, so the text stays as it is); and no flips.
#   ... --cfg-options train_dataloader.dataset.pipeline.4.type=PickText
#   ... --cfg-options train_dataloader.dataset.pipeline.3.prob=0.0
_base_ = './lsms-xs_phantom_96x96.py'
data_root = 'data/phantom_few'
vocabulary = dict(build_from=f'{data_root}/train.jsonl')
model = dict(text_encoder=dict(tokenizer=vocabulary))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='Resize', scale=(96, 96), keep_ratio=False),
    dict(type='RandomFlip', prob=0.75, direction=['horizontal', 'vertical', 'diagonal']),  # each a quarter, as none
    dict(type='SwapDirectionWords'),
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
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
train_cfg = dict(val_interval=400)
