"""Whatever picture a user has -> what the first step of a test pipeline would have loaded."""

import os
from dataclasses import dataclass
from inspect import signature

import cv2
import numpy as np
from mmseg.registry import TRANSFORMS
from PIL import Image, ImageOps

from ..datasets.medical import parse_windows, reopen_volume, slice_axis, view_slice
from ..datasets.medical.dicom import is_dicom
from ..datasets.medical.grid import Grid
from ..datasets.medical.nifti import is_nifti
from ..datasets.medical.volume import Volume
from ..datasets.spacing import pixel_spacing
from ..datasets.transforms import LoadMedicalImage
from ..visualization.drawing import as_rgb

ImageInput = str | os.PathLike | np.ndarray | Image.Image
OPTIONS = signature(LoadMedicalImage).parameters
LOADERS = ('LoadImageFromFile', 'LoadMedicalImage')


@dataclass(frozen=True, eq=False)
class Picture:
    """A loaded picture.

    Attributes:
        results: what the pipeline's loader leaves for the next step.
        shown: (H, W, 3) uint8 RGB, for people.
        spacing: mm from row to row and from column to column, ``None`` if unknown.
    """

    results: dict
    shown: np.ndarray
    spacing: tuple[float, float] | None


class PictureLoader:
    """The loader of a test pipeline, for arrays, PIL images, NIfTI and DICOM too.

    Args:
        step: config of the pipeline's loader, one of ``LOADERS``.
    """

    def __init__(self, step: dict):
        self.step = dict(step)
        self.medical = step['type'] == 'LoadMedicalImage'
        self.own = TRANSFORMS.build(self.step)

    def __call__(self, image: ImageInput, attributes: dict | None = None, **options) -> Picture:
        """Load one picture.

        Args:
            image: a file (a folder of a DICOM series); an array (H, W, 3) uint8 BGR or (H, W) uint8, with a window (H,
                W) of any numbers; or a PIL image, which is turned as its EXIF says and loses its transparency, as
                files do.
            attributes: columns of its row in an annotation table: ``slice`` of a volume, ``spacing_mm``.
            **options: of :class:`~mmseg_textseg.datasets.transforms.LoadMedicalImage`, e.g. ``window='liver'``; they
                go before those of the pipeline. ``None`` is no option.

        Raises:
            FileNotFoundError: no such file.
            ValueError: an unknown option, an array of another shape or type, or a file that is no picture or needs a
                window or slice.
        """
        options = {key: value for key, value in options.items() if value is not None}
        unknown = sorted(options.keys() - OPTIONS.keys())
        if unknown:
            raise ValueError(f'no option {", ".join(unknown)}; pictures are loaded with {", ".join(OPTIONS)}')
        if isinstance(image, (str, os.PathLike)):
            results = self._file(os.fspath(image), attributes or {}, options)
        elif isinstance(image, (np.ndarray, Image.Image)):
            array = image if isinstance(image, np.ndarray) else _from_pil(image)
            results = self._like_own(_results(self._bgr(array, options)))
        else:
            raise ValueError(f'image must be a path, an array or a PIL image, got {type(image).__name__}')
        spacing = pixel_spacing({'attributes': attributes, **results})
        return Picture(results, _shown(results['img']), spacing)

    def _file(self, path: str, attributes: dict, options: dict) -> dict:
        if not os.path.exists(path):
            raise FileNotFoundError(f'no picture at {path}')
        results = dict(img_path=path, attributes=attributes)
        if self.medical or options or is_volume(path):
            return self._like_own(self._medical(options)(results))
        try:
            loaded = self.own(results)
        except (AssertionError, cv2.error, OSError) as error:  # mmcv's and its backends' words for what does not decode
            raise ValueError(f'{path} is not a picture that can be read') from error
        if loaded is None:  # ignore_empty
            raise ValueError(f'{path} is not a picture that can be read')
        return loaded

    def _medical(self, options: dict) -> LoadMedicalImage:
        step = self.step if self.medical else dict(type='LoadMedicalImage')
        return TRANSFORMS.build({**step, **options})

    def count(self, path: str, **options) -> int:
        """Number of slices of a volume; ``options`` as in :meth:`__call__`."""
        loader = self._medical(options)
        grid = reopen_volume(path, **loader.opening).grid
        return grid.shape[slice_axis(grid, loader.plane, loader.orientation)]

    def _bgr(self, image: np.ndarray, options: dict) -> np.ndarray:
        """An array as (H, W, 3) uint8."""
        if image.ndim == 2 and image.dtype != np.uint8 and np.issubdtype(image.dtype, np.number):
            # Deeper than 8 bits: windowed as the slices of volumes are.
            grid = Grid('the array', (*image.shape, 1), pictures=True)
            window = options.get('window', self.step.get('window') if self.medical else None)
            image = Volume(grid, image[..., None].astype(np.float32)).picture(view_slice(grid), parse_windows(window))
        if image.ndim == 2:
            image = np.repeat(image[..., None], 3, axis=2)
        if image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f'image must be (H, W, 3) or (H, W), got shape {image.shape}')
        if image.dtype != np.uint8:
            raise ValueError(f'image must be uint8, 0 to 255, got {image.dtype}')
        return image

    def _like_own(self, results: dict) -> dict:
        """What ``LoadImageFromFile`` would have made of the same pixels."""
        if getattr(self.own, 'color_type', 'color') == 'grayscale':
            results['img'] = cv2.cvtColor(results['img'], cv2.COLOR_BGR2GRAY)
        if getattr(self.own, 'to_float32', False):
            results['img'] = results['img'].astype(np.float32)
        return results


def is_volume(path: str) -> bool:
    """Whether it is NIfTI, DICOM or a folder of it, which ``LoadMedicalImage`` alone reads."""
    return is_nifti(path) or os.path.isdir(path) or is_dicom(path)


def _from_pil(image: Image.Image) -> np.ndarray:
    """BGR or grey, as OpenCV reads the file."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(('I', 'F')):  # more than 8 bits
        return np.asarray(image)
    return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1])


def _results(image: np.ndarray) -> dict:
    return dict(img=image, img_path=None, img_shape=image.shape[:2], ori_shape=image.shape[:2])


def _shown(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.float32 and image.min() >= 0 and image.max() <= 255:  # to_float32
        image = image.astype(np.uint8)
    return np.ascontiguousarray(as_rgb(image)[..., ::-1])
