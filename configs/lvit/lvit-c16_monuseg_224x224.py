# LViT small (C = 16, 2.0 M parameters beside BERT) on MoNuSeg nuclei with its sentences, 224 x 224, for CPUs.
#   python tools/train.py configs/lvit/lvit-c16_monuseg_224x224.py
#   python tools/test.py configs/lvit/lvit-c16_monuseg_224x224.py CHECKPOINT --out DIR
# --cfg-options model.text_encoder.pretrained=DIR is a folder with a BERT, such as MiniLM. Epochs, rate and photometric
# augmentation are those of configs/mptpn/mptpn-c16_monuseg_224x224.py, the peer that it is compared with. Not run.
_base_ = ['./lvit_monuseg_224x224.py']
widths = [16, 32, 64, 128, 128]
model = dict(backbone=dict(base_channels=widths[0]), decode_head=dict(in_channels=widths))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='Resize', scale={{_base_.size}}, keep_ratio=False),
    dict(type='PhotoMetricDistortion'),
    dict(type='TokenizeText', tokenizer={{_base_.tokenizer}}, max_tokens={{_base_.num_text_tokens}}),
    dict(type='PackTextSegInputs'),
]
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
max_epochs = 40
param_scheduler = [
    dict(type='PolyLR', power=0.9, begin=0, end=max_epochs, eta_min=0.0, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=max_epochs, val_interval=3)
default_hooks = dict(checkpoint=dict(interval=3))
custom_hooks = []
