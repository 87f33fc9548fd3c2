"""The picture of a sample as its dataset loads it, CT slices too."""

from collections.abc import Callable

import numpy as np
from mmcv.transforms import BaseTransform, LoadAnnotations
from mmseg.structures import SegDataSample
from torch.utils.data import Dataset

from .drawing import as_rgb, bgr_as_rgb


def image_loader(dataset: Dataset) -> Callable[[dict], dict]:
    """The first transform of a dataset's pipeline, which loads images; the same in all parts of a ConcatDataset.

    Args:
        dataset: MMSegmentation's, also inside of mmengine's wrappers.

    Raises:
        ValueError: the pipeline begins with another transform, or parts load in different ways.
    """
    loaders = {repr(loader): loader for loader in map(_first_transform, _parts(dataset))}
    if len(loaders) != 1:
        raise ValueError(
            f'parts of the dataset load their images in different ways ({"; ".join(loaders)}), so which of them a '
            'picture needs is not known: draw the parts one by one'
        )
    return next(iter(loaders.values()))


def _parts(dataset: Dataset) -> list[Dataset]:
    if hasattr(dataset, 'datasets'):
        return [part for one in dataset.datasets for part in _parts(one)]
    return _parts(dataset.dataset) if hasattr(dataset, 'dataset') else [dataset]


def _first_transform(dataset: Dataset) -> BaseTransform:
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', [])
    for step in steps:
        name = type(step).__name__
        if name.startswith('Load') and not isinstance(step, LoadAnnotations) and 'Mask' not in name:
            return step
    raise ValueError(
        f'the pipeline {[type(step).__name__ for step in steps]} has no transform that loads images: expected '
        'LoadImageFromFile or LoadMedicalImage'
    )


def load_picture(sample: SegDataSample, loader: Callable[[dict], dict]) -> np.ndarray:
    """The picture of a sample before any resizing, (H, W, 3) uint8 RGB.

    Args:
        sample: with ``img_path`` and, for slices of volumes, ``attributes`` in its metainfo.
        loader: of :func:`image_loader`; gives BGR, as the loading transforms of mmcv and ours do.
    """
    known = {key: sample.metainfo[key] for key in ('img_path', 'attributes') if key in sample.metainfo}
    return bgr_as_rgb(loader({**known})['img'])


def network_picture(packed: dict, channel_order: str = 'bgr') -> np.ndarray:
    """What enters the network, (H, W, 3) uint8 RGB: resized and augmented, before normalisation and padding.

    Args:
        packed: as the pipeline gives it. Numbers that are not uint8 (a pipeline with ``Normalize``) are stretched.
        channel_order: of ``packed['inputs']``; BGR as loaded.
    """
    image = packed['inputs'].permute(1, 2, 0).numpy()
    return as_rgb(image[..., ::-1] if channel_order == 'bgr' else image)
