"""Parts of LSMS beside what is at hand for the same job: losses, factorisation, norms, convolutions, evaluation."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.models.decode_heads.ham_head import NMF2D
from torch import Tensor, nn

from ..evaluation import TextSegMetric
from ..models import FullScaleHead
from ..models.layers import InstanceNorm, NMF2d
from ..models.layers.strip_conv import row_conv
from ..models.losses import vision_language_contrastive_loss
from .group import Group
from .models import no_grad, samples
from .stock_style import SeededNMF2D, naive_contrast

# Features, Hamburger and stages 2 to 4 of LSMS-B; text-guided stage 1's strips.
CHANNELS, HAM_CHANNELS, RANK, STAGES, STRIP = 256, 768, 64, (128, 320, 512), 64


def _map(batch: int, channels: int, side: int, nhwc: bool = True) -> Tensor:
    return torch.randn(batch, channels, side, side).contiguous(
        memory_format=torch.channels_last if nhwc else torch.contiguous_format
    )


def backward(call: Callable[[Tensor], Tensor], x: Tensor, weights: nn.Module | None = None) -> None:
    """Forward and backward of ``call(x)``, down to ``x`` and the weights, which are left without gradients."""
    leaf = x.detach().requires_grad_()
    y = call(leaf)
    y.backward(torch.ones_like(y))
    if weights is not None:
        weights.zero_grad()


def contrast(size: int, batch: int) -> Group:
    """Eq. 14 on features at stride 4."""
    side = size // 4
    features, language = _map(batch, CHANNELS, side), torch.randn(batch, CHANNELS)
    mask = torch.stack([sample.gt_sem_seg.data[0] for sample in samples(side, batch)])

    def both(loss) -> Callable[[], None]:
        return partial(backward, lambda x: loss(x, language, mask), features)

    return Group(
        f'contrast/{side * side}/{batch}',
        f'contrastive loss of {CHANNELS} channels, 5 % foreground, forward and backward',
        {'naive, all pairs held': both(naive_contrast), 'ours': both(vision_language_contrastive_loss)},
        'naive, all pairs held',
        dict(pixels=side * side, batch=batch),
    )


class OneStepNMF2D(SeededNMF2D):
    """MMSegmentation's factorisation with the gradient of its last step alone, as ours and Hamburger's first code."""

    @torch.no_grad()
    def local_inference(self, x: Tensor, bases: Tensor) -> tuple[Tensor, Tensor]:
        """Bases and coefficients without autograd."""
        return super().local_inference(x, bases)


def factorisation(size: int, batch: int, train: bool) -> Group:
    """The factorisation of the Hamburger at stride 4."""
    side = size // 4
    nchw = _map(batch, HAM_CHANNELS, side, nhwc=False).relu()
    nhwc = nchw.contiguous(memory_format=torch.channels_last)
    modules = {
        'NMF2D of MMSegmentation': (NMF2D(dict(MD_R=RANK)), nchw),
        'the same, seeded, gradient of the last step': (OneStepNMF2D(HAM_CHANNELS, RANK), nchw),
        'ours': (NMF2d(HAM_CHANNELS, RANK), nhwc),
    }
    calls = {
        name: partial(backward, module.train(), x) if train else no_grad(partial(module.eval(), x))
        for name, (module, x) in modules.items()
    }
    job = 'forward and backward' if train else 'evaluation'
    return Group(
        f'nmf-{"train" if train else "eval"}/{side * side}/{batch}',
        f'factorisation of {HAM_CHANNELS} channels, rank {RANK}, {job}',
        calls,
        'NMF2D of MMSegmentation',
        dict(pixels=side * side, batch=batch),
    )


def instance_norm(size: int, batch: int) -> Group:
    """Instance norm of a channels-last map at stride 8."""
    side = size // 8
    x, nchw = (_map(batch, STAGES[0], side, nhwc) for nhwc in (True, False))
    stock = nn.InstanceNorm2d(STAGES[0])
    return Group(
        f'instance-norm/{side * side}/{batch}',
        f'instance norm of {STAGES[0]} channels, forward and backward',
        {
            'nn.InstanceNorm2d': partial(backward, stock, x),
            'nn.InstanceNorm2d of an NCHW map': partial(backward, stock, nchw),
            'ours': partial(backward, InstanceNorm(), x),
        },
        'nn.InstanceNorm2d',
        dict(pixels=side * side, batch=batch),
    )


def squeeze(size: int, batch: int) -> Group:
    """The decoder without its Hamburger."""
    maps = [_map(batch, c, size // s) for c, s in zip((64, *STAGES), (4, 8, 16, 32), strict=True)]
    options = dict(in_channels=STAGES, ham_channels=HAM_CHANNELS, hamburger=False)
    heads = {early: FullScaleHead(early_squeeze=early, **options).eval() for early in (False, True)}
    heads = {early: head.to(memory_format=torch.channels_last) for early, head in heads.items()}
    heads[True].load_state_dict(heads[False].state_dict())
    return Group(
        f'squeeze/{size}/{batch}',
        'full-scale decoder without Hamburger, evaluation',
        {
            'resize, then squeeze': no_grad(partial(heads[False], maps)),
            'squeeze, then resize': no_grad(partial(heads[True], maps)),
        },
        'resize, then squeeze',
        dict(pixels=size * size, batch=batch),
    )


def strip(size: int, batch: int) -> Group:
    """The longest strip convolution of the first stage."""
    side = size // 4
    x = _map(batch, STRIP, side)
    conv = nn.Conv2d(STRIP, STRIP, (1, 21), padding=(0, 10), groups=STRIP).to(memory_format=torch.channels_last)
    return Group(
        f'strip/{side * side}/{batch}',
        f'depth-wise 1 x 21 convolution of {STRIP} channels, channels-last, forward and backward',
        {
            'nn.Conv2d': partial(backward, conv, x, conv),
            'row_conv': partial(backward, partial(row_conv, conv), x, conv),
        },
        'nn.Conv2d',
        dict(pixels=side * side, batch=batch),
    )


def evaluation(size: int, batch: int) -> Group:
    """Counting pixels of predictions."""
    found = []
    for number, sample in enumerate(samples(size, batch)):
        logit = torch.randn(size, size)
        logits = PixelData(data=torch.stack([-logit, logit]))
        sample.set_metainfo(dict(img_path=f'{number}.png', text='a cyst in segment VI', ori_shape=(size, size)))
        sample.set_data(dict(seg_logits=logits, pred_sem_seg=PixelData(data=(logit[None] > 0).long())))
        found.append(sample.to_dict())
    stock, ours = IoUMetric(), TextSegMetric()
    stock.dataset_meta = ours.dataset_meta = dict(classes=('background', 'target'))

    def process(metric) -> None:
        metric.results.clear()
        metric.process({}, found)

    return Group(
        f'evaluation/{size}/{batch}',
        'metric of a batch of predictions, without the summary of the set',
        {'IoUMetric of MMSegmentation': partial(process, stock), 'TextSegMetric': partial(process, ours)},
        'IoUMetric of MMSegmentation',
        dict(pixels=size * size, batch=batch),
    )


def groups(sizes: Sequence[int] = (128, 256, 480), batches: Sequence[int] = (2,)) -> Iterator[Group]:
    """All parts at each size and batch.

    Args:
        sizes: sides of the images whose maps they are.
        batches: images.
    """
    train, evaluate = (partial(factorisation, train=train) for train in (True, False))
    for part in (contrast, train, evaluate, instance_norm, squeeze, strip, evaluation):
        for size in sizes:
            for batch in batches:
                yield part(size, batch)
