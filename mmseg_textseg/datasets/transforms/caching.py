"""A cache of decoded and resized pictures and masks; docs/datasets.md says when it pays."""

import os
from collections.abc import Sequence
from copy import deepcopy
from hashlib import blake2b
from stat import S_ISDIR

import mmcv.transforms
import mmseg.datasets.transforms
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log
from mmseg.registry import TRANSFORMS

from ..spacing import SPACING_COLUMNS
from .hide_mask import HideMask
from .loading import LoadMask
from .medical import LoadMedicalImage, LoadMedicalMask

# Transforms that draw nothing by chance, and read no more of an item than INPUTS and COLUMNS and what others of them
# made. Of these very classes: a class derived from them may do either.
DETERMINISTIC = (
    mmcv.transforms.LoadImageFromFile,
    mmcv.transforms.Resize,
    mmseg.datasets.transforms.LoadAnnotations,
    mmseg.datasets.transforms.Resize,
    HideMask,
    LoadMask,
    LoadMedicalImage,
    LoadMedicalMask,
)
INPUTS = ('img_path', 'seg_map_path', 'label_map', 'reduce_zero_label', 'seg_fields')
COLUMNS = ('slice', *SPACING_COLUMNS)
ENTRY_BYTES = 4096  # what an item takes beside its arrays


@TRANSFORMS.register_module()
class CachedTransforms(BaseTransform):
    """Run transforms once for each picture and mask, and remember what they made.

    For the head of a pipeline: loading and resizing. Random transforms and those that read the expression come after.
    Items of the same picture and mask (several expressions) share an entry, and equal arrays are kept once, so items
    of one picture with different masks share the picture. Whoever writes into what is handed out changes a copy.

    A file whose size or time of change is another one than it was is loaded anew. What is there when ``max_bytes`` are
    reached stays, and the rest is loaded each time: in an epoch in random order, replacing entries would find no more.
    Each worker process has a cache of its own, and keeps it from epoch to epoch with ``persistent_workers=True`` only.
    Copies of the transform begin empty.

    Required Keys:

    - img_path (a file of this machine)
    - seg_map_path, label_map, reduce_zero_label, seg_fields, attributes (optional)

    Added Keys:

    - those of the transforms

    Args:
        transforms: any of ``LoadImageFromFile``, ``LoadMedicalImage``, ``LoadMask``, ``LoadMedicalMask``,
            ``LoadAnnotations``, ``HideMask`` and ``Resize``, in the order of a pipeline.
        max_bytes: most that a cache takes; of one process, so times the number of workers.

    Raises:
        ValueError: for another transform, named; if the item holds a picture already; for a file that mmengine's
            backends have and this machine has not.
    """

    def __init__(self, transforms: Sequence[dict | BaseTransform], max_bytes: int = 2**30) -> None:
        if not max_bytes > 0:
            raise ValueError(f'max_bytes is {max_bytes}; expected more than 0')
        self.transforms = [TRANSFORMS.build(step) if isinstance(step, dict) else step for step in transforms]
        unknown = [getattr(s, '__name__', type(s).__name__) for s in self.transforms if type(s) not in DETERMINISTIC]
        if unknown or not self.transforms:
            known = ', '.join(dict.fromkeys(kind.__name__ for kind in DETERMINISTIC))
            raise ValueError(
                f'CachedTransforms: {", ".join(unknown) or "no transform"} given, but what is by chance or hangs on '
                f'the expression would be the same for ever; expected some of {known}: put others behind it'
            )
        self.max_bytes = max_bytes
        self._forget()

    def __getstate__(self) -> dict:
        return dict(transforms=self.transforms, max_bytes=self.max_bytes)

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._forget()

    def _forget(self) -> None:
        self.held_bytes = 0
        self._full = False
        self._entries: dict[str, tuple[list, dict]] = {}
        self._arrays: dict[bytes, np.ndarray] = {}

    def transform(self, results: dict) -> dict | None:
        """Add what the transforms make of the files of ``results``."""
        if 'img' in results or 'gt_seg_map' in results:
            raise ValueError(
                f'CachedTransforms: the picture of {results["img_path"]} is loaded already: put the cache first'
            )
        # No more than the key says, or what was made of one item could be wrong for another.
        given = {key: results[key] for key in INPUTS if key in results}
        attributes = results.get('attributes') or {}
        item = dict(given, attributes={key: attributes[key] for key in COLUMNS if key in attributes})
        key, stamp = repr(item), [_stamp(given[key]) for key in ('img_path', 'seg_map_path') if key in given]
        old_stamp, made = self._entries.get(key, (stamp, None))
        if old_stamp != stamp:
            self._forget()
        elif made is not None:
            results.update(deepcopy(made))
            return results
        made = self._run(item)
        if made is None:
            return None
        if None in stamp:
            raise ValueError(
                f'CachedTransforms: {given["img_path"]} or its mask is no file of this machine, so that changes would '
                'pass unnoticed: use the transforms without the cache'
            )
        if not self._full:
            self._keep(key, stamp, made)
        results.update(made)
        return results

    def _run(self, item: dict) -> dict | None:
        for step in self.transforms:
            item = step(item)
            if item is None:
                return None
        del item['attributes']
        return item

    def _keep(self, key: str, stamp: list, made: dict) -> None:
        """Add an entry of copies, if there is room."""
        arrays = {name: value for name, value in made.items() if isinstance(value, np.ndarray)}
        digests = {name: _digest(value) for name, value in arrays.items()}
        new = {digests[name]: value for name, value in arrays.items() if digests[name] not in self._arrays}
        needed = sum(value.nbytes for value in new.values()) + ENTRY_BYTES
        if self.held_bytes + needed > self.max_bytes:
            self._full = True
            print_log(
                f'CachedTransforms is full at {len(self._entries)} pictures with masks ({self.max_bytes:,} bytes of '
                'this process); the others are loaded each time.',
                logger='current',
            )
            return
        self.held_bytes += needed
        # Copies, because an array may be a view of a larger one, and its owner may write into it.
        self._arrays.update((digest, value.copy()) for digest, value in new.items())
        kept = {name: self._arrays[digest] for name, digest in digests.items()}
        self._entries[key] = stamp, {**deepcopy({k: v for k, v in made.items() if k not in kept}), **kept}

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(transforms={self.transforms}, max_bytes={self.max_bytes})'


def _digest(array: np.ndarray) -> bytes:
    content = blake2b(np.ascontiguousarray(array).data, digest_size=16)
    return content.digest() + repr((array.shape, array.dtype.str)).encode()


def _stamp(path: str) -> list | None:
    """What changes when a file does, or a folder (a DICOM series); None if this machine has neither."""
    try:
        info = os.stat(path)
        if S_ISDIR(info.st_mode):
            return sorted((file.name, _stamp(file.path)) for file in os.scandir(path))
        return [info.st_mtime_ns, info.st_size]
    except OSError:
        return None
