"""Packing of image, mask and text for the model."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS
from torch import Tensor

# 'spacing' is LoadMedicalImage's.
TEXT_META_KEYS = ('text', 'sample_id', 'attributes', 'tokenizer', 'spacing')


@TRANSFORMS.register_module()
class PackTextSegInputs(PackSegInputs):
    """MMSegmentation's packing, and the text with it.

    The token ids and their mask become data fields of the SegDataSample, so that they move with ``.to()``;
    the raw sentence, ``sample_id``, ``attributes`` and ``spacing`` become metainfo.

    Required Keys:

    - img
    - gt_seg_map (optional)
    - text, sample_id, attributes, tokenizer, spacing (optional)
    - text_ids (optional, int, T)
    - text_mask (optional, bool, T; True = a real token; goes with text_ids)

    Added Keys:

    - inputs (torch.Tensor, C x H x W)
    - data_samples (SegDataSample with data fields ``gt_sem_seg``, ``text_ids`` (int64), ``text_mask`` (bool))

    Args:
        meta_keys: as in PackSegInputs; the keys of the text are added to any choice.

    Raises:
        ValueError: if only one of ``text_ids`` and ``text_mask`` is there, or they are not 1-D of one length.
    """

    def __init__(self, meta_keys: Sequence[str] = PackSegInputs().meta_keys) -> None:
        super().__init__(meta_keys=tuple(dict.fromkeys((*meta_keys, *TEXT_META_KEYS))))

    def transform(self, results: dict) -> dict:
        """Pack ``results``."""
        image = results.get('img')
        if image is not None and image.ndim == 3:
            rest = super().transform({key: value for key, value in results.items() if key != 'img'})
            packed = dict(inputs=channels_first(image), **rest)
        else:
            packed = super().transform(results)
        if 'text_ids' not in results and 'text_mask' not in results:
            return packed
        ids, mask = (np.asarray(results.get(key)) for key in ('text_ids', 'text_mask'))
        if ids.ndim != 1 or ids.shape != mask.shape:
            raise ValueError(
                f'{results.get("img_path", "sample")}: text_ids has shape {ids.shape} and text_mask {mask.shape}; '
                'expected two 1-D arrays of one length, as TokenizeText gives'
            )
        # torch.tensor copies: the arrays may belong to a tokeniser's cache.
        packed['data_samples'].set_data(
            dict(text_ids=torch.tensor(ids, dtype=torch.int64), text_mask=torch.tensor(mask, dtype=torch.bool))
        )
        return packed


def channels_first(image: np.ndarray) -> Tensor:
    """Copy of a picture (H, W, C) as a contiguous tensor (C, H, W)."""
    if image.dtype != np.uint8:
        return torch.from_numpy(image.transpose(2, 0, 1).copy())
    # OpenCV parts interleaved bytes several times faster than NumPy and PyTorch copy them by strides.
    planes = np.empty((image.shape[2], *image.shape[:2]), np.uint8)
    cv2.split(image, list(planes))
    return torch.from_numpy(planes)
