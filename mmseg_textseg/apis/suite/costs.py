"""What a row costs: parameters, multiplications of a prediction, its latency, and seconds of a training step."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from mmseg.registry import DATASETS, MODELS
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count
from torch.utils.module_tracker import ModuleTracker

# Items of the test set that predictions are timed on, spread over it.
ITEMS = 8


def _convolution_backward(grad, x, weight, _bias, _stride, _pad, _dilation, transposed, _out_pad, _groups, mask, **_):
    """As many products for the map's gradient as forward, and as many for the weight's."""
    return (mask[0] + mask[1]) * conv_flop_count(x, weight, grad, transposed)


# What torch's table lacks: products in place, which the contrastive loss has in backward. What it has wrong: it takes a
# depth-wise convolution for a dense one in backward.
FLOPS = {
    torch.ops.aten.addmm_: lambda _, a, b, **__: 2 * a[0] * a[1] * b[1],
    torch.ops.aten.convolution_backward: _convolution_backward,
}


class Subject:
    """A row's model with random weights, its training data, and a few items of its test set.

    Args:
        cfg: from ``load_config``, in the scope of mmseg.
        train: whether its training will be timed.
    """

    def __init__(self, cfg: Config, train: bool):
        self.model: nn.Module = MODELS.build(cfg.model).to(get_device())
        test = DATASETS.build(cfg.test_dataloader.dataset)
        places = torch.linspace(0, len(test) - 1, min(ITEMS, len(test))).long().unique().tolist()
        self.items = [pseudo_collate([test[place]]) for place in places]
        # Workers of many rows at once would fill the memory: they end with each round.
        self.loading = {**cfg.train_dataloader, 'persistent_workers': False}
        loader = Runner.build_dataloader(self.loading, seed=0)
        size, self.batch_size = len(loader.dataset), loader.batch_size
        self.per_epoch = max(1, size // self.batch_size if loader.drop_last else -(-size // self.batch_size))
        # What the workers have ready says nothing of how fast they are.
        self.ready = loader.num_workers * (loader.prefetch_factor or 0)
        if train:
            self.optim_wrapper = build_optim_wrapper(self.model, cfg.optim_wrapper)
            self.batches: Iterator = iter(())

    def predict(self, number: int) -> None:
        """Predict one item, its text encoded anew: the picture is in memory, the mask gets its size."""
        forget_text(self.model)
        with torch.no_grad():
            self.model.test_step(self.items[number % len(self.items)])

    def load(self, on: bool) -> None:
        """Start the workers that load the training data, or end them."""
        # Anew each time: an InfiniteSampler gives nothing any more once an iterator over it has gone.
        self.batches = _endless(Runner.build_dataloader(self.loading, seed=0)) if on else iter(())

    def step(self) -> None:
        """One iteration of training: wait for the batch, forward, backward, update."""
        self.model.train_step(next(self.batches), optim_wrapper=self.optim_wrapper)


def forget_text(model: nn.Module) -> None:
    """Empty the cache of a frozen text encoder, so that sentences are encoded anew."""
    cache = getattr(getattr(model, 'text_encoder', None), 'cache', None)
    if cache is not None:
        cache.clear()


def count_parameters(model: nn.Module) -> dict[str, int]:
    """All parameters, and those that are trained."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return dict(parameters=sum(n for n, _ in sizes), trained_parameters=sum(n for n, trained in sizes if trained))


class _ModuleTracker(ModuleTracker):
    """torch's fails with autograd off where a view of a parameter, which claims to need a gradient, meets a module."""

    def _fw_pre_hook(self, mod, input):
        super()._fw_pre_hook(mod, input if torch.is_grad_enabled() else ())

    def _fw_post_hook(self, mod, input, output):
        super()._fw_post_hook(mod, input, output if torch.is_grad_enabled() else ())


def count_flops(call: Callable[[], object]) -> FlopCounterMode:
    """Count the floating-point operations of a call: two a multiply-accumulate of convolutions and matrix products.

    torch's table lacks the fused attention of CPUs, which would be counted as nothing: it is told apart into its
    products here. Norms, activations, softmax, resizing and sums are not counted.

    Args:
        call: what is counted; it runs once.
    """
    counter = FlopCounterMode(display=False, custom_mapping=FLOPS)
    counter.mod_tracker = _ModuleTracker()
    with counter, sdpa_kernel(SDPBackend.MATH):
        call()
    return counter


def count_macs(call: Callable[[], object], model: nn.Module) -> dict[str, float]:
    """Multiply-accumulates of a call, in 10^9: :func:`count_flops` / 2.

    Args:
        call: what is counted.
        model: whose text encoder is told apart.
    """
    counter = count_flops(call)
    text = f'{type(model).__name__}.text_encoder'
    return dict(
        gmacs=counter.get_total_flops() / 2e9,
        gmacs_text_encoder=sum(counter.get_flop_counts().get(text, {}).values()) / 2e9,
    )


def time_predictions(subjects: dict[str, Subject], rounds: int = 15) -> dict[str, float]:
    """Median seconds of a prediction at batch 1, all subjects in turn, so that a busy moment meets all of them."""
    found: dict[str, list[float]] = {name: [] for name in subjects}
    for subject in subjects.values():
        subject.model.eval()
    for number in range(-2, rounds):  # two to warm up
        for name, subject in subjects.items():
            found[name].append(clock(partial(subject.predict, number)))
    return {name: median(times[2:]) for name, times in found.items()}


def time_training(subjects: dict[str, Subject], rounds: int = 5, steps: int = 4) -> dict[str, float]:
    """Seconds of an iteration of training: subjects in turn, median over rounds of the mean of ``steps`` iterations.

    Before each round go as many iterations as there are batches ready, and one, which are not counted.
    """
    found: dict[str, list[float]] = {name: [] for name in subjects}
    for subject in subjects.values():
        subject.model.train()
    for _ in range(rounds):
        for name, subject in subjects.items():
            subject.load(True)
            for _ in range(subject.ready + 1):
                subject.step()
            found[name].append(sum(clock(subject.step) for _ in range(steps)) / steps)
            subject.load(False)
    return {name: median(times) for name, times in found.items()}


def _endless(loader: DataLoader) -> Iterator:
    if not len(loader):
        raise ValueError('an epoch has no batch: train_dataloader.batch_size must not be more than the images')
    while True:
        yield from loader


def clock(call: Callable[[], object]) -> float:
    """Seconds of a call, on an accelerator too."""
    _wait()
    start = time.perf_counter()
    call()
    _wait()
    return time.perf_counter() - start


def _wait() -> None:
    """For an accelerator, which answers before it is done."""
    device = get_device()
    if device != 'cpu':
        getattr(torch, device).synchronize()
