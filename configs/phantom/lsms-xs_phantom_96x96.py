# The demo: a small LSMS (1.6 M parameters with its text encoder) on an easy phantom, 96 x 96, from random weights.
#   make demo
# or by hand:
#   python tools/make_phantom.py --out data/phantom_96 --cases 120 --size 96 --difficulty easy --lesions 2 4
#   python tools/train.py configs/phantom/lsms-xs_phantom_96x96.py
# Reached: Dice 82.4, IoU 72.3 on cases never trained on; 22.2, 18.5 with shuffled sentences; 386 s in all on two cores.
_base_ = [
    '../_base_/models/lsms.py',
    '../_base_/datasets/phantom_96x96.py',
    '../_base_/schedules/phantom_800i.py',
    '../default_runtime.py',
]
text_channels = 128
widths = [24, 48, 96, 128]
model = dict(
    text_encoder=dict(
        pretrained=None,
        tokenizer={{_base_.vocabulary}},
        arch=dict(hidden_size=text_channels, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256),
    ),
    backbone=dict(
        arch=dict(_delete_=True, widths=widths, depths=(2, 2, 2, 2), mlp_ratios=(4, 4, 4, 4)),
        text_channels=text_channels,
        drop_path_rate=0.0,
        init_cfg=None,
    ),
    decode_head=dict(
        in_channels=widths[1:],
        ham_channels=128,
        channels=64,
        rank=16,
        text_channels=text_channels,
        norm_cfg=dict(type='GN', num_groups=16),
    ),
)
log_processor = dict(by_epoch=False)
