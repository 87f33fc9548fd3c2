"""Packing of image, mask and text for the model."""

from collections.abc import Sequence

import numpy as np
import torch
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS

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
