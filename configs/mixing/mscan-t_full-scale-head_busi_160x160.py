# Stock MSCAN-T (SegNeXt's encoder) with text in the head alone, on BUSI, 160 x 160: what the language branches in the
# encoder of configs/lsms/lsms-t_busi_160x160.py are worth; schedule, losses and data are the same.
#   python tools/train.py configs/mixing/mscan-t_full-scale-head_busi_160x160.py
#   python tools/test.py configs/mixing/mscan-t_full-scale-head_busi_160x160.py CHECKPOINT --out DIR [--shuffle-text]
# Another fusion: --cfg-options model.decode_head.text_fusion.type=CrossAttentionFusion. Not run.
_base_ = '../lsms/lsms-t_busi_160x160.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='MSCAN',
        embed_dims=_base_.widths,
        depths=[3, 3, 5, 2],
        mlp_ratios=[8, 8, 4, 4],
        drop_path_rate=0.1,
        norm_cfg=dict(type='BN', requires_grad=True),
    ),
    decode_head=dict(text_fusion=dict(type='LanguageFusion')),
)
