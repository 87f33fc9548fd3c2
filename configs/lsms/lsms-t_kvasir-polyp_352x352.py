# LSMS-T on polyps (Kvasir-SEG) with MedVLSM's prompts at level p6, 352 x 352, visual weights from scratch.
#   python tools/train.py configs/lsms/lsms-t_kvasir-polyp_352x352.py
#   python tools/test.py configs/lsms/lsms-t_kvasir-polyp_352x352.py CHECKPOINT --out DIR [--shuffle-text]
# The other ten sets: --cfg-options train_dataloader.dataset.data_root=DIR, and the same for val and test.
# Not run here: the data are not at hand. Layout: docs/datasets.md.
_base_ = [
    '../_base_/models/lsms.py',
    '../_base_/datasets/medvlsm_352x352.py',
    '../_base_/schedules/lsms_100e.py',
    '../default_runtime.py',
]
randomness = dict(seed=0)
widths = [32, 64, 160, 256]
model = dict(
    backbone=dict(arch='tiny', init_cfg=None),
    decode_head=dict(in_channels=widths[1:], ham_channels=256, rank=16),
)
optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    # A pretrained BERT learns ten times slower than visual weights that start from nothing.
    paramwise_cfg=dict(custom_keys={'text_encoder': dict(lr_mult=0.1)}),
    clip_grad=dict(max_norm=5.0),
)
data_root = 'data/medvlsm/kvasir_polyp'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
