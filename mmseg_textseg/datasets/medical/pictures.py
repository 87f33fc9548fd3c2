"""PNG, TIFF and other pictures of 8 or 16 bits as volumes of one slice."""

import io
import os

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from .errors import MedicalImageError
from .grid import Grid
from .volume import Volume


def open_picture(path: str | os.PathLike, intercept: float = 0) -> Volume:
    """Open a picture; one of 8 bits is taken as it is, a deeper one needs a window.

    Args:
        path: of any picture that OpenCV reads.
        intercept: is added to the numbers of a deeper picture: -32768 where they are Hounsfield units + 32768.

    Raises:
        FileNotFoundError: if there is no such file.
        MedicalImageError: for a file that is no picture, has several pages, or colours of more than 8 bits.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'no image {path}')
    content = np.fromfile(path, np.uint8)
    try:
        with Image.open(io.BytesIO(content)) as picture:
            pages = getattr(picture, 'n_frames', 1)
    except (UnidentifiedImageError, OSError):
        pages = 1  # OpenCV reads kinds of TIFF that Pillow does not
    if pages > 1:
        raise MedicalImageError(f'{path} has {pages} pages: save them as single pictures, or as NIfTI')
    values = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    if values is None:
        raise MedicalImageError(f'{path} is not an image that is read here: expected NIfTI, DICOM, PNG or TIFF')
    if values.ndim == 3:
        if values.dtype != np.uint8:
            raise MedicalImageError(f'{path} has colours of more than 8 bits: save it as grey, or in 8 bits')
        code = cv2.COLOR_BGRA2RGB if values.shape[2] == 4 else cv2.COLOR_BGR2RGB
        values = cv2.cvtColor(values, code)
    elif values.dtype != np.uint8:
        values = values.astype(np.float32) + np.float32(intercept)
    grid = Grid(path, (*values.shape[:2], 1), pictures=True)
    return Volume(grid, values[:, :, None], ready=values.dtype == np.uint8)
