# LViT, small (C = 12), on the easy phantom, 96 x 96, from random weights: a peer of lsms-xs_phantom_96x96.py, with its
# text encoder, iterations, batches and rate. Patches of 8 make 12 x 12 of them; sentences have up to 10 tokens, and
# 20 is what TokenizeText keeps.
#   python tools/train.py configs/phantom/lvit-c12_phantom_96x96.py
#   python tools/test.py configs/phantom/lvit-c12_phantom_96x96.py CHECKPOINT --out DIR
# Reached: Dice 89.5, IoU 82.4 (11 minutes on one thread, one seed; docs/results.md).
_base_ = [
    '../_base_/models/lvit.py',
    '../_base_/datasets/phantom_96x96.py',
    '../_base_/schedules/phantom_800i.py',
    '../default_runtime.py',
]
text_channels = 128
widths = [12, 24, 48, 96, 96]
model = dict(
    text_encoder=dict(
        pretrained=None,
        frozen=False,
        tokenizer={{_base_.vocabulary}},
        arch=dict(hidden_size=text_channels, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256),
    ),
    backbone=dict(
        base_channels=widths[0], num_heads=4, patch_size=8, img_size=96, text_channels=text_channels, num_text_tokens=20
    ),
    decode_head=dict(in_channels=widths),
)
log_processor = dict(by_epoch=False)
