"""Reads every image and mask once, in worker processes, and keeps a few numbers of each."""

import hashlib
import io
import multiprocessing
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import cv2
import numpy as np
from mmengine import fileio
from mmseg.registry import TRANSFORMS
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from ..datasets import LoadMask, LoadMedicalImage, LoadMedicalMask
from .findings import DoctorError
from .splits import Loading
from .tables import Rows

IMAGE = np.dtype(
    [('read', '?'), ('height', 'i4'), ('width', 'i4'), ('mode', 'S12'), ('flat', '?'), ('deep', '?')]
    + [('digest', 'u8', (2,)), ('coarse', 'u8'), ('fine', 'u8', (4,))]
)
# share: of the image; left, ...: of the foreground, in each half of the picture.
MASK = np.dtype([('read', '?'), ('share', 'f8')] + [(side, 'f4') for side in ('left', 'right', 'upper', 'lower')])
# Of these Pillow knows whether a file is whole; of the many kinds of tiff it does not read all.
CHECKED_WHOLE = ('PNG', 'JPEG', 'BMP', 'GIF', 'PPM', 'WEBP')
IGNORED = 255  # MMSegmentation's label of no class
Problem = tuple[str, int, int | None, str]  # check, image, pair (None: the image itself), detail

_loaders: list[tuple] = []


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def read_files(rows: Rows, workers: int, progress: bool = True) -> tuple[np.ndarray, np.ndarray, list[Problem]]:
    """Read all images and masks of the tables.

    Args:
        rows: the tables.
        workers: processes; 1 reads in this one.
        progress: whether to show a bar.

    Returns:
        Numbers of the images (dtype ``IMAGE``), of the pairs (dtype ``MASK``), and what is wrong.

    Raises:
        DoctorError: if a worker process dies.
    """
    images, masks = np.zeros(len(rows.images), IMAGE), np.zeros(len(rows.pair_mask), MASK)
    problems: list[Problem] = []
    bar = partial(tqdm, total=len(images), desc='doctor', unit='image', disable=not progress)
    pool = None
    if min(workers, len(images)) <= 1:
        _start(rows.loadings)
        results: Iterator = map(_read, _jobs(rows))
    else:
        # Forked on Linux, where nothing has started threads before this point: spawned processes import everything
        # again, which takes seconds. An executor, since it notices when a worker dies.
        context = multiprocessing.get_context('fork' if sys.platform == 'linux' else 'spawn')
        pool = ProcessPoolExecutor(min(workers, len(images)), context, _start, (rows.loadings,))
        results = pool.map(_read, _jobs(rows), chunksize=16)
    try:
        for number, image, pairs, found in bar(results):
            images[number] = image
            for pair, mask in pairs:
                masks[pair] = mask
            problems += found
    except BrokenProcessPool as error:
        raise DoctorError(
            'a process that reads files died: out of memory, or a file crashes its decoder. --workers 1 needs less '
            'memory, and ends at that file'
        ) from error
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
    problems.sort(key=lambda problem: (problem[1], -1 if problem[2] is None else problem[2]))
    return images, masks, problems


def _jobs(rows: Rows) -> Iterator[tuple[int, int, dict, list[tuple[int, str]]]]:
    """(image, loading, item, its masks), an image a job."""
    order = np.argsort(rows.pair_image, kind='stable')
    ends = np.searchsorted(rows.pair_image[order], np.arange(len(rows.images) + 1))
    for number, (loading, path, which) in enumerate(rows.images):
        pairs = order[ends[number] : ends[number + 1]]
        item = dict(img_path=path, attributes=dict(slice=which))
        yield number, loading, item, [(int(p), rows.pair_mask[p]) for p in pairs if rows.pair_mask[p] is not None]


def _start(loadings: Sequence[Loading]) -> None:
    cv2.setNumThreads(1)
    Image.MAX_IMAGE_PIXELS = None  # slides are large
    warnings.simplefilter('ignore')
    if hasattr(cv2, 'utils') and hasattr(cv2.utils, 'logging'):
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what it would print is in the report
    _loaders[:] = [(TRANSFORMS.build(dict(x.image)), TRANSFORMS.build(dict(x.mask)), x) for x in loadings]


def _read(job: tuple[int, int, dict, list[tuple[int, str]]]) -> tuple:
    number, loading, item, pairs = job
    path = item['img_path']
    load_image, load_mask, options = _loaders[loading]
    image = np.zeros((), IMAGE)
    problems: list[Problem] = []
    try:
        _read_image(image, path, load_image, options, item)
    except Exception as error:  # decoders fail in as many ways as there are files
        image['read'] = False
        problems.append(('unreadable', number, None, f'image {path}: {_said(error)}'))
    masks = []
    for pair, mask_path in pairs:
        mask = np.zeros((), MASK)
        for check, detail in _read_mask(mask, mask_path, load_mask, options, image, item):
            problems.append((check, number, pair, detail))
        masks.append((pair, mask))
    return number, image, masks, problems


def _said(error: Exception) -> str:
    return str(error).strip().split('\n')[0] or type(error).__name__


def _picture(content: bytes) -> Image.Image | None:
    """The decoded picture, None for a format that Pillow does not know; raises where the file is damaged."""
    if not content:
        raise ValueError('is an empty file')
    try:
        picture = Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        return None
    try:
        picture.load()
    except Exception as error:
        if picture.format in CHECKED_WHOLE:
            raise ValueError(f'is cut off or damaged ({_said(error)})') from error
        return None
    return picture


def _content(path: str, load, options: Loading) -> Image.Image | None:
    """The file as Pillow decodes it; what reads volumes finds itself what is wrong with them."""
    if isinstance(load, (LoadMedicalImage, LoadMedicalMask)):
        return None
    return _picture(fileio.get(path, backend_args=options.backend_args))


def _read_image(image: np.ndarray, path: str, load, options: Loading, item: dict) -> None:
    picture = _content(path, load, options)
    try:
        loaded = load.transform(item)  # which LoadMedicalImage tells the slice, for the mask
    except AssertionError as error:
        raise ValueError(f'is no picture that {type(load).__name__} reads') from error
    values = None if loaded is None else loaded.get('img')
    if values is None:
        raise ValueError(f'{type(load).__name__} gives no picture')
    values = np.ascontiguousarray(values)
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    mode = picture.mode if picture is not None else f'{values.dtype}x{channels}'
    image['read'], image['height'], image['width'], image['mode'] = True, height, width, mode
    image['deep'] = mode.startswith(('I', 'F')) and values.dtype == np.uint8
    digest = hashlib.blake2b(repr((values.shape, values.dtype.str)).encode(), digest_size=16)
    digest.update(values)
    image['digest'] = np.frombuffer(digest.digest(), np.uint64)
    image['coarse'], image['fine'], image['flat'] = _perceptual(values)


def _perceptual(values: np.ndarray) -> tuple[np.uint64, np.ndarray, bool]:
    """Perceptual hashes of 64 and of 256 bits, and whether all is of one grey."""
    import imagehash

    grey = values if values.ndim == 2 else values[..., :3].mean(axis=2) if values.shape[2] != 3 else None
    grey = cv2.cvtColor(values.astype(np.float32), cv2.COLOR_BGR2GRAY) if grey is None else grey
    low, high = float(grey.min()), float(grey.max())
    if not high > low:
        return np.uint64(0), np.zeros(4, np.uint64), True
    small = cv2.resize(grey.astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA)
    page = Image.fromarray(((small - low) * (255 / (high - low))).round().astype(np.uint8))
    bits = [np.packbits(imagehash.phash(page, size).hash).view(np.uint64) for size in (8, 16)]
    return bits[0][0], bits[1], False


def _read_mask(
    mask: np.ndarray, path: str, load, options: Loading, image: np.ndarray, item: dict
) -> Iterator[tuple[str, str]]:
    image_path = item['img_path']
    try:
        picture = _content(path, load, options)
    except Exception as error:
        yield 'unreadable', f'mask {path}: {_said(error)}'
        return
    try:
        results = dict(img_path=image_path, seg_map_path=path, seg_fields=[], label_map=None, reduce_zero_label=False)
        if 'slice_view' in item:
            results['slice_view'] = item['slice_view']
        values = load.transform(results)['gt_seg_map']
    except Exception as error:
        told = _said(error)
        yield 'mask-refused' if picture is not None else 'unreadable', told if path in told else f'mask {path}: {told}'
        return
    height, width = values.shape[:2]
    if image['read'] and (height, width) != (image['height'], image['width']):
        yield (
            'size-mismatch',
            f'mask {path} is {height} x {width} (height x width), image {image_path} '
            f'{image["height"]} x {image["width"]}',
        )
    raw = None if picture is None else _raw_values(picture)
    if isinstance(load, LoadMask):
        yield from _oddities(path, raw, values, load)
    elif not isinstance(load, LoadMedicalMask):
        known = {*range(options.classes), IGNORED}
        strange = sorted(set(np.unique(values).tolist()) - known)
        if strange:
            yield (
                'mask-refused',
                f'mask {path} has the value{"s" * (len(strange) > 1)} {_list(strange)}; {type(load).__name__} takes '
                f'values as class numbers, 0 to {options.classes - 1}',
            )
    _measure(mask, (values > 0) & (values != IGNORED))


def _raw_values(picture: Image.Image) -> np.ndarray | None:
    """Values of the file as grey, (H, W); None for palettes, whose numbers are no values."""
    if picture.mode in ('P', 'PA'):
        return None
    values = np.asarray(picture)
    if values.ndim == 3:
        values = values[..., :-1] if picture.mode in ('LA', 'RGBA') else values
        values = values.max(axis=2)
    return values.astype(np.uint8) if values.dtype == bool else values


def _oddities(path: str, raw: np.ndarray | None, values: np.ndarray, load: LoadMask) -> Iterator[tuple[str, str]]:
    if raw is None:
        return
    found = np.flatnonzero(np.bincount(raw.ravel(), minlength=256)) if raw.dtype == np.uint8 else np.unique(raw)
    top = found[-1]
    if top > 0 and not values.any():
        yield (
            'mask-refused',
            f'mask {path} has values up to {top}, all below threshold={load.threshold:g}, so nothing would be left',
        )
    # Numbered objects (0, 1, 2, ...) are no greys.
    if len(found) > 2 and top >= 128 and not np.array_equal(found, np.arange(len(found))):
        foreground = raw >= load.threshold
        dark = (raw[foreground] < top / 2).mean() if foreground.any() else 0
        yield (
            'odd-mask',
            f'mask {path} has {len(found)} values, {_list(found.tolist())}; at threshold={load.threshold:g}, '
            f'{100 * dark:.1f} % of its foreground is darker than half of {top}',
        )


def _list(values: list) -> str:
    told = [f'{value:g}' if isinstance(value, float) else str(value) for value in values]
    return ', '.join(told) if len(told) <= 6 else f'{", ".join(told[:3])}, ... {", ".join(told[-2:])}'


def _measure(mask: np.ndarray, foreground: np.ndarray) -> None:
    mask['read'] = True
    height, width = foreground.shape
    columns, lines = foreground.sum(axis=0), foreground.sum(axis=1)
    total = int(columns.sum())
    mask['share'] = total / max(1, foreground.size)
    if total:
        mask['left'], mask['right'] = columns[: width // 2].sum() / total, columns[(width + 1) // 2 :].sum() / total
        mask['upper'], mask['lower'] = lines[: height // 2].sum() / total, lines[(height + 1) // 2 :].sum() / total
