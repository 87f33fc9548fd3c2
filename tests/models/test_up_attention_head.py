"""Both heads: the wiring of Algorithm 1, line 16, the losses of eq. 11, accuracy, and what they cost."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch.utils.flop_counter import FlopCounterMode

from mmseg_textseg.models import PPE, MSFFUpAttentionHead, TextFeatures, UpAttentionHead
from mmseg_textseg.models.layers import up_attention

C = 4
WIDTHS = (C, 2 * C, 4 * C)


def maps(widths=WIDTHS, size=(8, 12), batch=2, dtype=torch.float64):
    return [torch.randn(batch, w, *(-(-s // 2**i) for s in size), dtype=dtype) for i, w in enumerate(widths)]


def samples(masks):
    return [SegDataSample(gt_sem_seg=PixelData(data=mask[None])) for mask in masks]


def classify(x, head):
    weight, bias = head.conv_seg.weight, head.conv_seg.bias
    return torch.einsum('oc,bchw->bohw', weight[:, :, 0, 0], x) + bias[:, None, None]


@pytest.mark.parametrize('size', [(8, 12), (7, 5)], ids=str)
@pytest.mark.parametrize('options', [{}, dict(pool='space'), dict(out_channels=2)], ids=str)
def test_line_16(randomise, options, size):
    """Y = UpAttention(y1, UpAttention(y2, y3)), 1x1, of MSFF's maps or of any."""
    head = randomise(UpAttentionHead(WIDTHS, **options)).double().eval()
    y1, y2, y3 = maps(size=size)
    expected = classify(head.up21(head.up32(y3, y2), y1), head)
    torch.testing.assert_close(head((y1, y2, y3)), expected)
    assert expected.shape == (2, options.get('out_channels', 1), *size)
    whole = randomise(MSFFUpAttentionHead(WIDTHS, **options)).double().eval()
    inputs = maps(size=size)
    y1, y2, y3 = whole.msff(inputs)
    torch.testing.assert_close(whole(inputs), classify(whole.up21(whole.up32(y3, y2), y1), whole))


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last], ids=['nchw', 'nhwc'])
def test_the_classifier_is_mmsegs(randomise, layout):
    """Its dropout too."""
    head = randomise(UpAttentionHead(WIDTHS, dropout_ratio=0.5)).double().train()
    x, outputs = maps()[0].contiguous(memory_format=layout), []
    for classifier in (UpAttentionHead.cls_seg, BaseDecodeHead.cls_seg):
        torch.manual_seed(1)
        outputs.append(classifier(head, x))
    torch.testing.assert_close(*outputs)
    assert not torch.allclose(outputs[0], head.eval().cls_seg(x))


def test_widths_of_the_paper():
    """1152 -> 384 -> 384, 576 -> 192 -> 192, 192 -> 1."""
    with torch.device('meta'):
        head = MSFFUpAttentionHead()
    assert head.up32.conv1.conv.weight.shape == (384, 1152, 3, 3)
    assert head.up32.conv2.conv.weight.shape == (384, 384, 3, 3)
    assert head.up21.conv1.conv.weight.shape == (192, 576, 3, 3)
    assert head.up21.conv2.conv.weight.shape == (192, 192, 3, 3)
    assert head.conv_seg.weight.shape == (1, 192, 1, 1)
    assert (head.num_classes, head.out_channels, head.threshold) == (2, 1, 0.5)
    assert isinstance(MODELS.build(dict(type='UpAttentionHead', in_channels=WIDTHS)), UpAttentionHead)


@pytest.mark.parametrize('kind', [UpAttentionHead, MSFFUpAttentionHead])
def test_in_index_picks_the_maps(randomise, kind):
    a = randomise(kind(WIDTHS)).double().eval()
    b = kind(WIDTHS, in_index=(3, 2, 0)).double().eval()
    b.load_state_dict(a.state_dict(), strict=True)
    x1, x2, x3 = maps()
    assert torch.equal(a([x1, x2, x3]), b([x3, torch.empty(2, 1, 1, 1), x2, x1]))


@pytest.mark.parametrize('kind', [UpAttentionHead, MSFFUpAttentionHead])
@pytest.mark.parametrize('pool', ['channel', 'space'])
def test_every_parameter_and_map_gets_a_gradient(randomise, kind, pool):
    head, inputs = randomise(kind(WIDTHS, pool=pool)).double().train(), [x.requires_grad_() for x in maps()]
    losses = head.loss(inputs, samples(torch.randint(2, (2, 16, 24))), None)
    assert losses.keys() == {'loss_wbce', 'loss_wdice', 'acc_seg'}
    (losses['loss_wbce'] + losses['loss_wdice']).backward()
    for name, p in (*head.named_parameters(), *((f'map {i}', x) for i, x in enumerate(inputs, 1))):
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
        assert p.grad.abs().max() > 1e-9, name


def test_loss_is_eq_11(randomise):
    """Half of each; the logits up-sampled bilinearly to the mask."""
    head, inputs, masks = randomise(UpAttentionHead(WIDTHS)).double(), maps(), torch.randint(2, (2, 16, 24))
    masks[0, :3] = 255
    losses = head.eval().loss(inputs, samples(masks), None)
    logits = F.interpolate(head(inputs), (16, 24), mode='bilinear', align_corners=False)[:, 0]
    valid, truth = masks != 255, (masks == 1).double()
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction='none')
    wbce = 0.5 * entropy[masks == 1].mean() + 0.5 * entropy[masks == 0].mean()
    torch.testing.assert_close(losses['loss_wbce'], 0.5 * wbce)
    dice = []
    for p, y, v in zip(logits.sigmoid(), truth, valid, strict=True):
        p, y = p[v], y[v]
        dice.append(1 - ((p * y).sum() + 1e-5) / (0.5 * (p * p).sum() + 0.5 * (y * y).sum() + 1e-5))
    torch.testing.assert_close(losses['loss_wdice'], 0.5 * torch.stack(dice).mean())


@pytest.mark.parametrize(
    ('threshold', 'percent'),
    # Probabilities .12 .88 .88 .62 and .38, the truth 0 1 0 1 and 1: right are 1 1 0 1 0, 1 1 0 1 1, 1 1 0 0 0.
    [(0.5, 60.0), (0.3, 80.0), (0.7, 40.0)],
)
def test_accuracy_of_one_logit_by_hand(threshold, percent):
    """Two images of 2 x 2 pixels; ignored pixels count nowhere, neither right nor wrong."""
    head = UpAttentionHead(WIDTHS, threshold=threshold)
    logits = torch.tensor([[[[-2.0, 2.0], [2.0, 0.5]]], [[[-0.5, -2.0], [2.0, 2.0]]]])
    masks = torch.tensor([[[0, 1], [0, 1]], [[1, 255], [255, 255]]])
    losses = head.loss_by_feat(logits, samples(masks))
    assert losses['acc_seg'].item() == pytest.approx(percent)
    assert not losses['acc_seg'].requires_grad
    nothing = head.loss_by_feat(logits, samples(torch.full_like(masks, 255)))
    assert nothing['acc_seg'] == 0


def test_accuracy_of_two_logits_is_mmsegs():
    head = UpAttentionHead(WIDTHS, out_channels=2)
    logits = torch.tensor([[[[0.0, 1.0]], [[1.0, 0.0]]]])
    assert head.loss_by_feat(logits, samples(torch.tensor([[[1, 1]]])))['acc_seg'].item() == pytest.approx(50)
    assert head.threshold is None


@pytest.mark.parametrize('kind', [UpAttentionHead, MSFFUpAttentionHead])
def test_three_maps_are_needed(kind):
    for options in (dict(in_channels=(4, 8)), dict(in_channels=WIDTHS, in_index=(0, 1))):
        with pytest.raises(ValueError, match='three maps'):
            kind(**options)


# Cost, in multiply-adds of one image of 224 x 224


def macs(function):
    """(of convolutions, of all products)."""
    with torch.device('meta'), FlopCounterMode(display=False) as counter:
        function()
    flops = {str(k): v for k, v in counter.get_flop_counts()['Global'].items()}
    return flops.get('aten.convolution', 0) // 2, counter.get_total_flops() // 2


def paper_maps():
    return [torch.empty(1, 64 * 2**i, 224 // 2**i, 224 // 2**i, device='meta') for i in range(3)]


def test_cost_of_the_head(monkeypatch):
    """The specification expects about 140 GMACs; ours takes 4 / 9 of the products on the up-sampled maps."""
    with torch.device('meta'):
        head = MSFFUpAttentionHead().train()
    n1, n2, n3 = 224**2, 112**2, 56**2
    msff = (
        n2 * 4 * 64 * 128 + n3 * 4 * 128 * 256 * 2  # merging
        + n1 * 32 * 64 * 2 + n2 * 64 * 128  # expanding
    )  # fmt: skip
    deep = 9 * (n2 * 768 * 384 + n1 * 384 * 192)
    rest = 9 * (n2 * (384 + 384) * 384 + n1 * (192 + 192) * 192)  # skips and second convolutions
    gates, logits = n2 * 384**2 + n1 * 192**2, n1 * 192
    mlps = (n1 + n2) * (3 * 6 + 6)
    # Beside its 4 products an output, upsampled_conv makes each 4 x 4 kernel of its 3 x 3 one.
    kernels = 9 * 16 * (768 * 384 + 384 * 192)
    ours = macs(lambda: head(paper_maps()))
    assert ours[0] == deep * 4 // 9 + rest + gates + logits
    assert ours[1] == ours[0] + msff + mlps + kernels
    assert macs(lambda: head.msff(paper_maps())) == (0, msff)
    monkeypatch.setattr(
        up_attention,
        'upsampled_conv',
        lambda x, weight: F.conv2d(F.interpolate(x, scale_factor=2, mode='nearest'), weight, padding=1),
    )
    direct = macs(lambda: head(paper_maps()))
    assert direct[0] == deep + rest + gates + logits
    figures = dict(direct=direct[1], ours=ours[1], msff=msff)
    assert {k: round(v / 1e9, 1) for k, v in figures.items()} == dict(direct=138.4, ours=101.5, msff=1.5)


def test_cost_of_the_encoder():
    with torch.device('meta'):
        ppe = PPE(dropout=0.0).train()
        text = TextFeatures.empty(1, 10, 768, torch.empty(1))
    n1, n2, patches = 224**2, 112**2, 196
    image = 9 * (n1 * (3 * 64 + 64 * 128) + n2 * 128 * 256)  # DownBlocks convolve before they pool
    words = 3 * 10 * (768 * 512 + 512 * 256 + 256 * 128 + 128 * 64) + 3 * 10 * patches * 64
    embeddings = patches * sum(c * c * p * p for c, p in ((64, 16), (128, 8), (256, 4)))
    narrowing = 2 * patches * 3 * (128 * 64 + 256 * 128)
    fusion = patches * (64**2 + 128**2 + 256**2)
    convolutions = image + words + narrowing + fusion
    counted = macs(lambda: ppe(torch.empty(1, 3, 224, 224), text))
    assert counted[0] == convolutions
    # Projections and MLP 12 c^2 a patch, scores and their values 2 c a pair of patches.
    transformers = 2 * sum(patches * 12 * c * c + 2 * patches**2 * c for c in (64, 128, 256))
    assert counted[1] == convolutions + embeddings + transformers
    assert round(counted[1] / 1e9, 2) == 8.66
