# LViT as lvit-c12_phantom_96x96.py with the masks of three quarters of the training slices hidden: EPI makes pseudo
# labels of them after 400 iterations on the others, the LV loss guides them by the masks of like sentences.
#   python tools/train.py configs/phantom/lvit-c12-semi_phantom_96x96.py
# The same labels without EPI and LV loss:
#   ... --cfg-options custom_hooks=[] model.decode_head.loss_lv=None
# Not run.
_base_ = './lvit-c12_phantom_96x96.py'
model = dict(decode_head=dict(loss_lv=dict(type='LVLoss', bank_size=64, loss_weight=0.1)))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='HideMask', share=0.75),
    dict(type='Resize', scale=(96, 96), keep_ratio=False),
    dict(type='TokenizeText', tokenizer={{_base_.vocabulary}}),
    dict(type='PackTextSegInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = [dict(type='EPIHook', beta=0.99, begin=400)]
