"""SingleStageHead: nothing but a classifier, with the losses of LSMS."""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_textseg.models import SingleStageHead

CONTRAST = dict(type='VisionLanguageContrastiveLoss', tau=0.1, loss_weight=0.125)
WIDTHS = (4, 6, 8)


def maps(batch=2):
    return [torch.randn(batch, c, s, s, dtype=torch.float64) for c, s in zip(WIDTHS, (16, 8, 4), strict=True)]


def samples(batch=2):
    made = []
    for _ in range(batch):
        truth = torch.zeros(1, 32, 32, dtype=torch.long)
        truth[:, 8:16, :16] = 1
        made.append(SegDataSample(gt_sem_seg=PixelData(data=truth)))
    return made


def head(**kwargs):
    options = dict(in_channels=8, in_index=2, loss_decode=dict(type='BoundaryWeightedSegLoss', lam=1.2), **kwargs)
    return MODELS.build(dict(type='SingleStageHead', **options)).double()


def test_only_a_classifier_is_left():
    plain = head()
    assert isinstance(plain, SingleStageHead)
    assert {n: tuple(p.shape) for n, p in plain.named_parameters()} == {
        'conv_seg.weight': (2, 8, 1, 1),
        'conv_seg.bias': (2,),
    }
    assert not plain.uses_text
    with_text = head(text_channels=5, loss_contrast=CONTRAST)
    assert with_text.uses_text
    assert sum(p.numel() for p in with_text.parameters()) == (2 * 8 + 2) + (5 * 8 + 8)


def test_logits_are_a_matrix_times_each_pixel_of_its_stage(randomise):
    module, inputs = randomise(head()).eval(), maps()
    weight, bias = module.conv_seg.weight[:, :, 0, 0], module.conv_seg.bias
    expected = torch.stack([(weight @ m.flatten(1) + bias[:, None]).reshape(2, 4, 4) for m in inputs[2]])
    torch.testing.assert_close(module(inputs), expected, rtol=1e-12, atol=1e-12)


def test_losses_are_those_of_lsms_on_its_stage(make_text, randomise):
    """L_con takes the stage's own pixels; nothing of the other stages."""
    module = randomise(head(text_channels=5, loss_contrast=CONTRAST, dropout_ratio=0.0)).train()
    inputs, text, truth = [m.requires_grad_() for m in maps()], make_text(channels=5, dtype=torch.float64), samples()
    losses = module.loss(inputs, truth, {}, text=text)
    mask = torch.stack([s.gt_sem_seg.data[0] for s in truth])
    contrast = MODELS.build(CONTRAST)(inputs[2], module.text_proj(text.pooled), mask)
    torch.testing.assert_close(losses[module.loss_contrast.loss_name], contrast)
    assert contrast > 0
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert not [n for n, p in module.named_parameters() if p.grad is None or not p.grad.any()]
    assert inputs[2].grad.any()
    assert inputs[0].grad is None
    with pytest.raises(ValueError, match='needs text'):
        module.loss(inputs, truth, {})
