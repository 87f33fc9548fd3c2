"""Loading of masks. Images load with mmcv's ``LoadImageFromFile``, which makes grey ones three channels."""

import io

import cv2
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from PIL import Image

from ..errors import PictureError


@TRANSFORMS.register_module()
class LoadMask(BaseTransform):
    """Load a binary mask from whatever picture it was saved as.

    MMSegmentation's ``LoadAnnotations`` takes the values of the file as class numbers, so 0/255 masks would
    need relabelling. Here a value of at least ``threshold`` is foreground; of several colour channels, any.
    An alpha channel says nothing. Palette pictures are read by colour, and refused where colour and index
    disagree about what is background. An empty mask is legal.

    Works before or after Resize (MMSegmentation's test pipelines load masks after it): the size is compared
    with ``ori_shape``.

    Required Keys:

    - seg_map_path
    - ori_shape (optional)

    Added Keys:

    - gt_seg_map (np.uint8 of 0 and 1, H x W)

    Modified Keys:

    - seg_fields

    Args:
        threshold: least value of the foreground; raise it (say to 128) for masks saved as jpg, whose
            background is not quite 0.
        backend_args: of mmengine's file backend.

    Raises:
        PictureError: naming the file, if it is no picture or damaged, has several pages, holds NaN or infinite
            values, cannot be told apart from its background, or has another size than the image; or if the dataset
            relabels its classes.
        FileNotFoundError: if the mask is missing.
    """

    def __init__(self, threshold: float = 1, backend_args: dict | None = None) -> None:
        if not threshold > 0:
            raise ValueError(f'threshold is {threshold}; expected more than 0, or all would be foreground')
        self.threshold = threshold
        self.backend_args = backend_args.copy() if backend_args else None

    def transform(self, results: dict) -> dict:
        """Read ``results['seg_map_path']``."""
        path = results['seg_map_path']
        if results.get('reduce_zero_label') or results.get('label_map') is not None:
            raise PictureError(
                f'{path}: LoadMask gives 0 and 1 and cannot relabel: leave reduce_zero_label=False, and name new '
                'classes in METAINFO of a dataset class instead of the option metainfo'
            )
        values = _decode(fileio.get(path, backend_args=self.backend_args), path)
        mask = values >= self.threshold
        if mask.ndim == 3:
            mask = mask.any(axis=2)
        expected = results.get('ori_shape')
        if expected is not None and mask.shape != tuple(expected[:2]):
            raise PictureError(
                f'mask {path} is {mask.shape[0]} x {mask.shape[1]} (height x width), its image '
                f'{results.get("img_path")} is {expected[0]} x {expected[1]}: save both in one size'
            )
        results['gt_seg_map'] = mask.view(np.uint8)
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(threshold={self.threshold}, backend_args={self.backend_args})'


def _decode(content: bytes, path: str) -> np.ndarray:
    """Values of a picture, (H, W) or (H, W, 3), in full depth and without alpha."""
    picture = None if _is_plain_png(content) else _open(content)
    if picture is not None and getattr(picture, 'n_frames', 1) > 1:
        raise PictureError(f'mask {path} has {picture.n_frames} pages: save the one that is meant')
    if picture is not None and picture.mode == 'P':
        return _decode_palette(picture, path)
    # OpenCV, because Pillow reads 16-bit colour as 8-bit, and so loses small values.
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
    if values is None:
        picture = picture or _open(content)
        values = None if picture is None else _values(picture, path)
    if values is None:
        raise PictureError(
            f'mask {path} is not a picture that OpenCV or Pillow reads: save it as png; of NIfTI and DICOM, '
            'LoadMedicalMask reads slices'
        )
    if values.ndim == 3 and values.shape[2] in (2, 4):
        values, alpha = values[..., :-1], values[..., -1]
        if not values.any() and alpha.min() != alpha.max():
            raise PictureError(f'mask {path} is all black and differs in transparency only: save it as a grey png')
    if values.dtype.kind == 'f' and not np.isfinite(values).all():
        raise PictureError(f'mask {path} holds NaN or infinite values: save it as a grey png of 0 and 255')
    return values


def _is_plain_png(content: bytes) -> bool:
    """Whether a file is a PNG without palette and further pages, for which Pillow need not be asked."""
    return content[:8] == b'\x89PNG\r\n\x1a\n' and content[25:26] != b'\x03' and b'acTL' not in content


def _open(content: bytes) -> Image.Image | None:
    try:
        return Image.open(io.BytesIO(content))
    except OSError:  # no picture, or one cut short
        return None


def _values(picture: Image.Image, path: str) -> np.ndarray:
    try:
        return np.asarray(picture)
    except Exception as error:  # Pillow decodes only now, and fails in as many ways as there are files
        raise PictureError(f'mask {path} is damaged or cut off ({error}): copy it again, or save it anew') from error


def _decode_palette(picture: Image.Image, path: str) -> np.ndarray:
    indices = _values(picture, path)
    colours = np.asarray(picture.convert('RGB'))
    if ((indices > 0) != colours.any(axis=2)).any():
        raise PictureError(
            f'mask {path} has a palette in which index 0 and black are not the same, so its background could be '
            'either: save it as a grey png'
        )
    return colours
