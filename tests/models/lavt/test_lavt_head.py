import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_textseg.models import LAVTHead
from mmseg_textseg.stack import detect_stack

WIDTHS = (8, 16, 32, 64)
SIZES = ((12, 9), (6, 5), (3, 3), (2, 2))


def maps(dtype=torch.float32):
    return [torch.randn(2, c, *size, dtype=dtype) for c, size in zip(WIDTHS, SIZES, strict=True)]


def truth(height=48, width=36):
    samples = []
    for i in range(2):
        mask = torch.zeros(1, height, width, dtype=torch.long)
        mask[:, : height // 2, i : width // 2] = 1
        mask[:, -1] = 255  # what padding is
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=mask)))
    return samples


def test_decoder_is_the_papers(randomise):
    """Y_4 = F_4; Y_i = two (3 x 3 conv, BN, ReLU) of [up(Y_{i+1}); F_i]; two scores from Y_1: in plain torch."""
    head = randomise(LAVTHead(WIDTHS, channels=24)).double().eval()
    inputs = maps(torch.float64)
    y, state = inputs[3], head.state_dict()
    for step, finer in enumerate(reversed(inputs[:3])):
        y = torch.cat([F.interpolate(y, size=finer.shape[2:], mode='bilinear', align_corners=False), finer], 1)
        for conv in range(2):
            name = f'steps.{step}.{conv}'
            y = F.conv2d(y, state[f'{name}.conv.weight'], padding=1)
            mean, var, weight, bias = (
                state[f'{name}.bn.{k}'][:, None, None] for k in ('running_mean', 'running_var', 'weight', 'bias')
            )
            y = ((y - mean) / (var + 1e-5).sqrt() * weight + bias).clamp(min=0)
    y = F.conv2d(y, state['conv_seg.weight'], state['conv_seg.bias'])
    found = head(inputs)
    assert found.shape == (2, 2, 12, 9)
    torch.testing.assert_close(found, y, rtol=1e-9, atol=1e-9)


def test_every_parameter_gets_a_gradient(randomise):
    head = randomise(LAVTHead(WIDTHS, channels=24)).train()
    out = head(maps())
    (out * torch.randn_like(out)).sum().backward()
    none = [n for n, p in head.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-5]
    assert none == []


@pytest.mark.skipif(detect_stack() == 'openmmlab', reason='its class weights cannot be used where a pixel is ignored')
def test_loss_weighs_the_classes():
    """The mean over valid pixels, weighted 0.9 for background and 1.1 for foreground, as PyTorch's."""
    loss = dict(type='CrossEntropyLoss', class_weight=[0.9, 1.1])
    head = LAVTHead(WIDTHS, channels=24, loss_decode=loss).eval()
    inputs, samples = maps(), truth()
    found = head.loss(inputs, samples, {})['loss_ce']
    logits = F.interpolate(head(inputs), size=(48, 36), mode='bilinear', align_corners=False)
    label = torch.cat([s.gt_sem_seg.data for s in samples])
    expected = F.cross_entropy(logits, label, weight=torch.tensor([0.9, 1.1]), ignore_index=255)
    torch.testing.assert_close(found, expected)
    assert abs(found - F.cross_entropy(logits, label, ignore_index=255)) > 1e-4


def test_one_channel_and_chosen_maps():
    head = MODELS.build(
        dict(
            type='LAVTHead', in_channels=[16, 64], in_index=[1, 3], channels=8, out_channels=1, threshold=0.5,
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
        )
    )  # fmt: skip
    assert head(maps()).shape == (2, 1, 6, 5)
    assert len(head.steps) == 1
    assert head.dropout is None


def test_errors_name_the_widths():
    with pytest.raises(ValueError, match=r'in_channels=\[8, 16, 32, 48\]\) got maps \[8, 16, 32, 64\] wide'):
        LAVTHead((8, 16, 32, 48), channels=8)(maps())
    with pytest.raises(ValueError, match='two maps or more'):
        LAVTHead((8,))
