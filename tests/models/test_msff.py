"""MSFF against Fig. 4 and 3.3.1: neighbours by slicing, one pixel at a time."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_textseg.models import MSFF, PatchExpanding, PatchMerging

C = 4
BN = dict(type='BN', requires_grad=True)
close = dict(rtol=1e-9, atol=1e-9)


def maps(widths=(C, 2 * C, 4 * C), size=(8, 12), batch=2):
    out = []
    for i, width in enumerate(widths):
        shape = [-(-side // 2**i) for side in size]
        out.append(torch.randn(batch, width, *shape, dtype=torch.float64, requires_grad=True))
    return out


def layer_norm(v, norm):
    return (v - v.mean()) / torch.sqrt((v - v.mean()).square().mean() + 1e-5) * norm.weight + norm.bias


def pixelwise(x, module):
    """LN and linear of each pixel of (B, C, H, W)."""
    out = torch.empty(len(x), len(module.linear.weight), *x.shape[2:], dtype=x.dtype)
    for b in range(len(x)):
        for i in range(x.shape[2]):
            for j in range(x.shape[3]):
                out[b, :, i, j] = module.linear.weight @ layer_norm(x[b, :, i, j], module.norm)
    return out


def merge(x, module):
    """Swin's slices: (0, 0), (1, 0), (0, 1), (1, 1) as (row, column)."""
    rows, columns = x.shape[2] % 2, x.shape[3] % 2
    padded = x.new_zeros(*x.shape[:2], x.shape[2] + rows, x.shape[3] + columns)
    padded[:, :, : x.shape[2], : x.shape[3]] = x
    slices = [padded[:, :, i::2, j::2] for i, j in ((0, 0), (1, 0), (0, 1), (1, 1))]
    return pixelwise(torch.cat(slices, 1), module)


def expand(x, module):
    """The first quarter of the channels at (0, 0), then (0, 1), (1, 0), (1, 1) as (row, column)."""
    quarter = x.shape[1] // 4
    large = x.new_zeros(len(x), quarter, 2 * x.shape[2], 2 * x.shape[3])
    for k, (i, j) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        large[:, :, i::2, j::2] = x[:, k * quarter : (k + 1) * quarter]
    return pixelwise(large, module)


def assert_same(ours, theirs, leaves):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **close)
    seeds = [torch.randn_like(y) for y in ours]
    total = [sum((y * s).sum() for y, s in zip(outputs, seeds, strict=True)) for outputs in (ours, theirs)]
    for a, b in zip(*(torch.autograd.grad(t, leaves) for t in total), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize('size', [(4, 6), (5, 6), (4, 3), (3, 1)], ids=str)
@pytest.mark.parametrize('width', [None, 5])
def test_merging(randomise, size, width):
    module, x = randomise(PatchMerging(C, width)).double(), maps((C,), size)[0]
    theirs = merge(x, module)
    assert theirs.shape == (2, width or 2 * C, -(-size[0] // 2), -(-size[1] // 2))
    assert_same([module(x)], [theirs], [x, *module.parameters()])


@pytest.mark.parametrize('size', [(2, 3), (1, 1)], ids=str)
@pytest.mark.parametrize('width', [None, 5])
def test_expanding(randomise, size, width):
    module, x = randomise(PatchExpanding(2 * C, width)).double(), maps((2 * C,), size)[0]
    theirs = expand(x, module)
    assert theirs.shape == (2, width or C, 2 * size[0], 2 * size[1])
    assert_same([module(x)], [theirs], [x, *module.parameters()])


def test_pixels_meet_their_own_2x2_block_only(randomise):
    cases = [
        (PatchExpanding(4 * C), maps((4 * C,), (3, 3))[0], [[1, 1]]),
        (PatchMerging(C), maps((C,), (6, 6))[0], [[2, 2], [2, 3], [3, 2], [3, 3]]),
    ]
    for module, x, block in cases:
        y = randomise(module).double()(x)
        pixel = y[:, :, 3, 2] if len(block) == 1 else y[:, :, 1, 1]
        assert torch.autograd.grad(pixel.square().sum(), x)[0].abs().sum((0, 1)).nonzero().tolist() == block


def reference(msff, inputs):
    """Three groups of all three sizes, each by stacked merging or expanding; then one size of each group."""
    x1, x2, x3 = inputs

    def crop(x, like):
        return x[:, :, : like.shape[2], : like.shape[3]]

    half = merge(x1, msff.merge12)
    double = crop(expand(x3, msff.expand32), x2)
    groups = [
        (x1, half, merge(half, msff.merge123)),
        (crop(expand(x2, msff.expand21), x1), x2, merge(x2, msff.merge23)),
        (crop(expand(double, msff.expand321), x1), double, x3),
    ]
    return [torch.cat([group[i] for group in groups], 1) for i in range(3)]


@pytest.mark.parametrize(
    ('widths', 'size'),
    [((C, 2 * C, 4 * C), (8, 4)), ((C, 2 * C, 4 * C), (7, 5)), ((3, 8, 12), (8, 4)), ((6, 4, 4), (5, 2))],
    ids=str,
)
def test_msff(randomise, widths, size):
    msff, inputs = randomise(MSFF(widths)).double(), maps(widths, size)
    ours = msff(inputs)
    assert [y.shape[1] for y in ours] == [3 * w for w in widths] == list(msff.out_channels)
    assert [y.shape[2:] for y in ours] == [x.shape[2:] for x in inputs]
    assert_same(ours, reference(msff, inputs), [*inputs, *msff.parameters()])


def test_each_map_of_the_paper_passes_through_at_its_place(randomise):
    """Scale i's own map is the i-th third: the map made of scale 1 comes first."""
    inputs = maps()
    for i, (y, x) in enumerate(zip(randomise(MSFF((C, 2 * C, 4 * C))).double()(inputs), inputs, strict=True)):
        assert torch.equal(y.chunk(3, 1)[i], x)


def test_widths_and_sizes_of_the_paper():
    with torch.device('meta'):
        outputs = MSFF()([torch.empty(1, 64 * 2**i, 224 // 2**i, 224 // 2**i) for i in range(3)])
    assert [tuple(y.shape[1:]) for y in outputs] == [(192, 224, 224), (384, 112, 112), (768, 56, 56)]


def test_in_index(randomise):
    inputs = maps()
    a, b = randomise(MSFF((C, 2 * C, 4 * C))), MSFF((C, 2 * C, 4 * C), in_index=(3, 1, 0))
    b.load_state_dict(a.state_dict())
    other = [inputs[2], inputs[1], None, inputs[0]]
    for p, q in zip(a.double()(inputs), b.double()(other), strict=True):
        assert torch.equal(p, q)


def test_errors():
    with pytest.raises(ValueError, match='three maps'):
        MSFF((4, 8))
    with pytest.raises(ValueError, match='three maps'):
        MSFF((4, 8, 16), in_index=(0, 1))
    with pytest.raises(ValueError, match='6 is no multiple of 4'):
        MSFF((4, 6, 16))
    inputs = [x.float() for x in maps()]
    with pytest.raises(ValueError, match=r'strides s, 2s, 4s, got sizes .*check in_index'):
        MSFF((C, 2 * C, 4 * C))([inputs[0], inputs[1], inputs[1]])


@pytest.mark.parametrize(
    ('backbone', 'widths', 'index'),
    [
        (dict(type='ResNetV1c', depth=18, base_channels=8, stem_channels=8, norm_cfg=BN), (16, 32, 64), (1, 2, 3)),
        (
            dict(
                type='MSCAN',
                embed_dims=[4, 8, 12, 16],
                depths=[1, 1, 1, 1],
                mlp_ratios=[2, 2, 2, 2],
                drop_path_rate=0.0,
                norm_cfg=BN,
            ),
            (4, 8, 12),
            (0, 1, 2),
        ),
    ],
    ids=['ResNetV1c', 'MSCAN'],
)  # fmt: skip
def test_as_a_neck_on_stock_backbones(backbone, widths, index):
    """Its three maps, of which a stock head reads the second; the image has odd sides."""
    config = ConfigDict(
        type='EncoderDecoder',
        backbone=backbone,
        neck=dict(type='MSFF', in_channels=widths, in_index=index),
        decode_head=dict(
            type='FCNHead',
            in_channels=3 * widths[1],
            in_index=1,
            channels=8,
            num_convs=1,
            num_classes=2,
            norm_cfg=BN,
        ),
        test_cfg=dict(mode='whole'),
    )
    model = MODELS.build(config)
    model.init_weights()
    x = torch.randn(2, 3, 63, 77)
    truth = [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(2, (1, 63, 77)))) for _ in range(2)]
    for sample in truth:
        sample.set_metainfo(dict(ori_shape=(63, 77), img_shape=(63, 77), pad_shape=(63, 77)))
    loss, _ = model.parse_losses(model.train()(x, truth, mode='loss'))
    loss.backward()
    read = {n for n, p in model.neck.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    of_scale_2 = {'merge12', 'expand32'}
    assert {name.split('.')[0] for name in read} == of_scale_2
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert model.eval()(x, truth, mode='predict')[0].pred_sem_seg.data.shape == (1, 63, 77)
