# MPTPN small (C = 16, a sixteenth of the products) on MoNuSeg nuclei with LViT's sentences, 224 x 224, for CPUs.
#   python tools/train.py configs/mptpn/mptpn-c16_monuseg_224x224.py --init-from CHECKPOINT_OF_STAGE_1
#   python tools/train.py configs/mptpn/mptpn-c16_monuseg_224x224.py --cfg-options model.backbone.init_cfg=None
#   python tools/test.py configs/mptpn/mptpn-c16_monuseg_224x224.py CHECKPOINT --out DIR
# Stage 1 is configs/mptpn/ppe-simsiam-c16_medical_224x224.py. Reached on test with MiniLM, 12 minutes on one thread:
# Dice 71.2, mIoU 69.3, Acc 86.2 from random weights; 69.2, 67.3, 84.8 from that stage 1 (docs/results.md).
_base_ = ['./mptpn_monuseg_224x224.py']
widths = [16, 32, 64]
model = dict(
    backbone=dict(
        base_channels=widths[0],
        init_cfg=dict(checkpoint='work_dirs/ppe-simsiam-c16_medical_224x224/epoch_4.pth'),
    ),
    decode_head=dict(in_channels=widths),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    dict(type='Resize', scale={{_base_.size}}, keep_ratio=False),
    dict(type='PhotoMetricDistortion'),
    dict(type='TokenizeText', tokenizer={{_base_.tokenizer}}, max_tokens={{_base_.num_text_tokens}}),
    dict(type='PackTextSegInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
max_epochs = 40
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='PolyLR', power=0.9, begin=0, end=max_epochs, eta_min=0.0, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=max_epochs, val_interval=3)
default_hooks = dict(checkpoint=dict(interval=3))
