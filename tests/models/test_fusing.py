"""fuse(): what is folded, what is not, and what a fused model refuses. All models of ours: test_fused_models.py."""

import copy

import pytest
import torch
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_textseg.models import SVLABlock
from mmseg_textseg.models.fusing import FusedSVLABlock, FusingError, fuse

BN = dict(type='BN', requires_grad=True)
GN = dict(type='GN', num_groups=4, requires_grad=True)
HEAD = dict(type='FullScaleHead', in_channels=(16, 24, 32), ham_channels=16, channels=8, rank=4, norm_cfg=GN)
SVLA = dict(
    type='SVLAEncoder',
    arch=dict(widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratios=(2, 2, 2, 2)),
    text_channels=None,
)


@pytest.fixture(autouse=True)
def in_scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


class Net(nn.Module):
    """The least that fuse takes: a backbone without anything around it."""

    def __init__(self, *parts, run=None):
        super().__init__()
        self.backbone = nn.Sequential(*parts)
        self.run = run

    def encode_decode(self, x, metas):
        return self.run(self.backbone, x) if self.run else self.backbone(x)


@pytest.fixture
def net(randomise):
    """Function (parts, run) -> Net in float64, weights and statistics drawn anew."""
    return lambda *parts, run=None: randomise(Net(*parts, run=run)).double().eval()


@pytest.fixture
def segmentor(randomise):
    """Function (**options) -> a text-free segmentor in float64 with norms of a batch's statistics."""

    def build(type_='TextEncoderDecoder', backbone=SVLA, head=HEAD, **options):
        model = MODELS.build(dict(type=type_, backbone=backbone, decode_head=head, test_cfg=dict(mode='whole')))
        for part in model.children():
            randomise(part)
        return model.double().eval()

    return build


def image(size=32, batch=2):
    return torch.randn(batch, 3, size, size, dtype=torch.float64)


def logits(model, x):
    with torch.no_grad():
        return model.encode_decode(x, [dict(img_shape=tuple(x.shape[2:]))] * len(x))


def norms(model) -> int:
    return sum(isinstance(m, _BatchNorm) for m in model.modules())


def conv(i=3, o=4, **options):
    return nn.Conv2d(i, o, 3, padding=1, **options)


def check(model, left: int):
    """The same logits, ``left`` batch norms in them."""
    x, fused = image(), fuse(model)
    expected = logits(model, x)
    assert (logits(fused, x) - expected).abs().max() <= 1e-9 * expected.abs().max()
    assert norms(fused) == left
    return fused


# Which batch norms


@pytest.mark.parametrize(
    'parts',
    [
        (conv(), nn.BatchNorm2d(4)),
        (conv(bias=False), nn.BatchNorm2d(4, affine=False)),
        (conv(), nn.SyncBatchNorm(4)),
        (nn.Conv2d(3, 6, 3, stride=2, groups=3, padding=1, padding_mode='reflect'), nn.BatchNorm2d(6)),
        (nn.ConvTranspose2d(3, 4, 2, stride=2), nn.BatchNorm2d(4)),
        (conv(), nn.BatchNorm2d(4), nn.ReLU(inplace=True), conv(4, 3), nn.BatchNorm2d(3)),
        (nn.Flatten(2), nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4)),
    ],
    ids=['plain', 'no-affine', 'sync', 'grouped', 'transposed', 'two', 'one-dimensional'],
)
def test_a_norm_behind_a_convolution_is_folded(net, parts):
    check(net(*parts), left=0)


shared_conv, shared_norm = conv(3, 3), nn.BatchNorm2d(3)


@pytest.mark.parametrize(
    'parts',
    [
        (conv(), nn.ReLU(), nn.BatchNorm2d(4)),
        (conv(), nn.ReLU(inplace=True), nn.BatchNorm2d(4)),
        (nn.BatchNorm2d(3), conv()),
        (conv(), nn.BatchNorm2d(4, track_running_stats=False)),
        (nn.ConvTranspose2d(3, 6, 2, groups=3), nn.BatchNorm2d(6)),
        (shared_conv, nn.BatchNorm2d(3), nn.ReLU(), shared_conv),
        (conv(3, 3), shared_norm, nn.ReLU(), conv(3, 3), shared_norm),
    ],
    ids=['act', 'act-in-place', 'before', 'batch-statistics', 'grouped-transposed', 'shared-conv', 'shared-norm'],
)
def test_a_norm_elsewhere_stays(net, parts):
    """mmcv's fuse_conv_bn, which goes by the order of modules, folds the first two wrongly."""
    model = net(*parts)
    check(model, left=norms(model))


def test_a_norm_of_a_concatenation_stays(net):
    """As in mmseg's ERFNet and CGNet: two branches, one norm over both."""

    def run(backbone, x):
        one, other, norm = backbone
        return norm(torch.cat([one(x), other(x)], dim=1))

    check(net(conv(), conv(), nn.BatchNorm2d(8), run=run), left=1)


def test_group_norm_stays(net):
    model = net(conv(), nn.GroupNorm(2, 4))
    fused = check(model, left=0)
    assert isinstance(fused.backbone[1], nn.GroupNorm)


def test_a_weight_that_is_standardised_is_left_alone(net):
    """What is folded into the weight of mmcv's ConvWS2d, its forward would divide out again."""
    from mmcv.cnn import ConvWS2d

    check(net(ConvWS2d(3, 4, 3), nn.BatchNorm2d(4)), left=1)


def test_an_output_that_would_change_is_an_error(net):
    """Here another part reads what the convolution makes; there is no seeing that from outside."""

    def run(backbone, x):
        made = backbone[0](x)
        return backbone[1](made) + made

    model = net(conv(), nn.BatchNorm2d(4), run=run)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(FusingError, match=r'outputs would change by up to .* use it unfused'):
        fuse(model)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


# Segmentors


@pytest.mark.parametrize('position', ['pre', 'post'])
@pytest.mark.parametrize('channels', [None, 12], ids=['free', 'text'])
def test_a_block_by_itself(position, channels, randomise, make_text):
    """Value and gradient to the image: all of it is the same function."""
    block = SVLABlock(8, channels, (3, 7), 2, 0.3, position, 'text', BN)
    block = randomise(block).double().eval().requires_grad_(False)
    fused = FusedSVLABlock(copy.deepcopy(block))
    x = torch.randn(2, 8, 9, 10, dtype=torch.float64, requires_grad=True)
    text = () if channels is None else (make_text(dtype=torch.float64),)
    out, ours = block(x, *text), fused(x, *text)
    torch.testing.assert_close(ours, out, rtol=1e-11, atol=1e-11)
    direction = torch.randn_like(out)
    expected, found = (torch.autograd.grad((o * direction).sum(), x)[0] for o in (out, ours))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-11)
    assert norms(fused) == 0


@pytest.mark.parametrize('position', ['pre', 'post'])
def test_an_encoder_keeps_no_batch_norm(segmentor, position):
    """Stem 2, embeddings 3, blocks 8; the head's group norms stay."""
    model = segmentor(backbone={**SVLA, 'norm_position': position})
    assert norms(model) == 13
    fused = check(model, left=0)
    assert sum(isinstance(m, nn.GroupNorm) for m in fused.modules()) == 3


@pytest.mark.parametrize('early', [True, False])
def test_batch_norms_of_the_head_are_folded(segmentor, early):
    """With the early squeeze its convolution is never called, only read."""
    check(segmentor(head={**HEAD, 'norm_cfg': BN, 'early_squeeze': early, 'mlp_channels': 8}), left=0)


def test_blocks_of_other_norms_stay(segmentor):
    fused = check(segmentor(backbone={**SVLA, 'norm_cfg': GN}), left=0)
    assert type(fused.backbone.block1[0]) is SVLABlock


def test_stock_models(segmentor):
    """MMSegmentation's own segmentor, backbone and head, whose factorisation draws float32 random numbers.

    Two norms of each block stay: only of our own block is it known that nothing else reads them.
    """
    mscan = dict(type='MSCAN', embed_dims=[8, 16, 24, 32], mlp_ratios=[2] * 4, depths=[1] * 4, norm_cfg=BN)
    ham = dict(
        type='LightHamHead', in_channels=[16, 24, 32], in_index=[1, 2, 3], channels=8, num_classes=2, out_channels=2,
        ham_channels=16, ham_kwargs=dict(MD_R=4), norm_cfg=BN,
    )  # fmt: skip
    model = segmentor('EncoderDecoder', mscan, ham).float()
    fused, x = fuse(model), image().float()
    assert norms(fused) == 8
    assert not hasattr(fused.decode_head.hamburger.ham, 'bases'), 'nothing of the trial run stays'
    found = []
    for one in (model, fused):
        torch.manual_seed(0)
        found.append(logits(one, x))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)


def test_other_sizes_and_memory_formats(segmentor):
    model = segmentor(head={**HEAD, 'norm_cfg': BN})
    fused = fuse(model)
    for size in (33, 50):
        x = image(size)
        torch.testing.assert_close(logits(fused, x), logits(model, x), rtol=1e-9, atol=1e-9)
    weights = [m.weight for m in fused.modules() if isinstance(m, nn.Conv2d)]
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)


@pytest.mark.parametrize('position', ['pre', 'post'])
def test_bfloat16_autocast(segmentor, position):
    model = segmentor(backbone={**SVLA, 'norm_position': position}).float()
    fused, x = fuse(model), image().float()
    expected = logits(fused, x)
    with torch.autocast('cpu', torch.bfloat16):
        found = logits(fused, x).float()
    assert 0 < (found - expected).square().mean() < 0.02 * expected.var()


# What a fused model refuses


@pytest.fixture
def fused(segmentor):
    return fuse(segmentor())


def test_it_does_not_train(fused):
    assert not any(p.requires_grad for p in fused.parameters())
    assert fused.eval() is fused.train(False) is fused
    with pytest.raises(RuntimeError, match=r'train the model that fuse\(\) was given'):
        fused.train()
    assert not any(m.training for m in fused.modules())


def test_it_takes_no_weights(fused, segmentor):
    with pytest.raises(RuntimeError, match=r'load them into the model that fuse\(\) is given'):
        fused.load_state_dict(segmentor().state_dict(), strict=False)


def test_its_weights_do_not_pass_for_a_models(fused, segmentor):
    """Weights that were written from it do not fit the model, so a mistaken checkpoint is found."""
    with pytest.raises(RuntimeError, match=r'Missing key.*norm1'):
        segmentor().load_state_dict(fused.state_dict())


def test_it_is_copied_and_fused_again_as_it_is(fused):
    assert fuse(fused) is fused
    x = image()
    assert torch.equal(logits(copy.deepcopy(fused), x), logits(fused, x))
    assert type(fused).__name__ == 'FusedTextEncoderDecoder'


def test_no_segmentor(net):
    with pytest.raises(TypeError, match=r'fuse takes a segmentor.*got Sequential.*model\.module'):
        fuse(nn.Sequential(conv()))
