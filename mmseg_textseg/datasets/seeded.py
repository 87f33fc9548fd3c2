"""Training data that depend on the seed and on the place in the training alone, not on who reads them.

What a transform draws comes from Python's, numpy's and torch's generators, whose states depend on the number of workers
and processes and on what was read before. Here each draw of an item has a seed of its own, so that one worker or eight,
two processes or one with the doubled batch, a whole training or one gone on with see the same pictures.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info, sync_random_seed
from mmseg.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import Dataset, Sampler


class Draw(int):
    """Index of an item that knows which draw of a training it is: ``key`` is (seed, epoch, number in the epoch)."""

    def __new__(cls, index: int, key: tuple[int, ...]) -> 'Draw':
        draw = super().__new__(cls, index)
        draw.key = key
        return draw

    def __getnewargs__(self) -> tuple[int, tuple[int, ...]]:
        return int(self), self.key


@contextmanager
def seeded(key: tuple[int, ...]) -> Iterator[None]:
    """Python's, numpy's and torch's CPU generators start from ``key`` within, and go on as before after it."""
    states = random.getstate(), np.random.get_state(), torch.random.get_rng_state()  # noqa: NPY002
    seed = np.random.SeedSequence(key)
    first, second = (int(value) for value in seed.generate_state(2, np.uint64))
    random.seed(first)
    np.random.seed(seed.generate_state(4))  # noqa: NPY002
    # torch.manual_seed would seed accelerators as well, whose states are not put back.
    torch.random.default_generator.manual_seed(second)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.random.set_rng_state(states[2])


class _Stand:
    """Hands what it lacks to ``inner``, and what is set from outside, such as another pipeline, too."""

    inner: str
    own: tuple[str, ...]

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.own:
            super().__setattr__(name, value)
        else:
            setattr(getattr(self, self.inner), name, value)

    def __getattr__(self, name: str) -> Any:
        # Protocols (copy, pickle, torch's __getitems__) ask for what would bypass this object.
        if name.startswith('__') or name == self.inner:
            raise AttributeError(name)
        return getattr(getattr(self, self.inner), name)


@DATASETS.register_module()
class SeededDataset(_Stand, Dataset):
    """A dataset whose random transforms follow the key of a :class:`Draw`; a plain index is read as ever.

    Args:
        dataset: config or object.
    """

    inner, own = 'dataset', ('dataset',)

    def __init__(self, dataset: dict | Dataset) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        if not isinstance(index, Draw):
            return self.dataset[index]
        with seeded(index.key):
            return self.dataset[int(index)]


@DATA_SAMPLERS.register_module()
class NumberedSampler(_Stand, Sampler):
    """A sampler whose indices are :class:`Draw`, numbered over all processes.

    mmengine's samplers give a process every world_size-th index, so that the numbers are those of one process.

    Args:
        sampler: config or object.
        dataset: that it samples.
        seed: of the training; None: one that all processes share.
    """

    inner, own = 'sampler', ('sampler', 'key_seed', 'first')

    def __init__(self, sampler: dict | Sampler, dataset: Dataset, seed: int | None = None) -> None:
        self.key_seed = sync_random_seed() if seed is None else seed
        if isinstance(sampler, dict):
            sampler = DATA_SAMPLERS.build(sampler, default_args=dict(dataset=dataset, seed=self.key_seed))
        self.sampler = sampler
        self.first = 0

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Draw]:
        rank, world_size = get_dist_info()
        first, self.first = self.first, 0
        # An endless sampler goes on where it was moved to, any other is asked for those before as well.
        behind = first if hasattr(self.sampler, 'skip') else 0
        for number, index in enumerate(self.sampler, start=behind):
            if number >= first:
                yield Draw(index, (self.key_seed, getattr(self.sampler, 'epoch', 0), number * world_size + rank))

    def start_at(self, number: int) -> None:
        """The next pass begins with this process's draw of that number; what is before it is not read."""
        if hasattr(self.sampler, 'skip'):
            self.sampler.skip(number)
        self.first = number

    @property
    def skip(self):
        """``start_at`` where the sampler has ``skip``: mmengine calls it when an endless training is gone on with."""
        if not hasattr(self.sampler, 'skip'):
            raise AttributeError('skip')
        return self.start_at
