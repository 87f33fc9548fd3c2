"""A whole text model traces: nothing in it depends on data or draws numbers in evaluation."""

import torch
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS

from mmseg_textseg.tokenization import SPECIAL


def test_tensor_mode_exports():
    model_cfg = dict(
        type='TextEncoderDecoder',
        text_encoder=dict(
            type='BertTextEncoder',
            pretrained=None,
            tokenizer=dict(vocab=[*SPECIAL, 'lesion']),
            arch=dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32),
        ),
        backbone=dict(
            type='SVLAEncoder',
            arch=dict(widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratios=(2, 2, 2, 2)),
            text_channels=16,
        ),
        decode_head=dict(
            type='FullScaleHead',
            in_channels=[16, 24, 32],
            ham_channels=16,
            channels=16,
            rank=4,
            norm_cfg=dict(type='GN', num_groups=4),
        ),
        test_cfg=dict(mode='whole'),
    )
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(model_cfg).eval()
    images = torch.randn(1, 3, 64, 64)
    exported = torch.export.export(model, (images,)).module()
    other = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(exported(other), model(other))
