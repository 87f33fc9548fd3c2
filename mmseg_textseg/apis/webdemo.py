"""What the page of tools/webdemo.py does; what it looks like is in webpage.py."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp

import cv2
import numpy as np

from ..datasets.file_names import split_name
from ..datasets.medical import WINDOWS
from ..fileio import write_png
from ..tokenization import load_tokenizer
from .config import find
from .inferencer import TextSegInferencer
from .pictures import Picture, is_volume
from .prediction import Prediction

BOUNDS = 'p0.5,p99.5'  # of MRI and of files whose units nobody knows


class UserError(ValueError):
    """What a user of the page did wrong, in words for the page."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A picture that a user has opened.

    Attributes:
        picture: as it is shown and as the model sees it.
        name: of the file, without its ending.
        slices: how many the file has.
        slice: which is shown, from 0.
        deep: whether it has more than 8 bits, so that a window matters.
    """

    picture: Picture
    name: str
    slices: int = 1
    slice: int = 0
    deep: bool = False


class WebDemo:
    """A model behind a page.

    Args:
        segment: the model.
        folder: for the masks that users may download.
    """

    def __init__(self, segment: TextSegInferencer, folder: Path):
        self.segment, self.folder = segment, folder
        model = segment.model
        self.threshold = float(model.decode_head.threshold) if model.out_channels == 1 else 0.5
        self.windows = [BOUNDS, 'dicom', *WINDOWS]
        trained = segment.load.step.get('window') if segment.load.medical else None
        self.window = BOUNDS if trained is None else 'as in training'
        if trained is not None:
            self.windows.insert(0, self.window)

    def open(
        self, file: str, number: int | None = None, window: str | None = None, attributes: dict | None = None
    ) -> Opened:
        """Read a file of any kind.

        Args:
            file: picture, NIfTI or DICOM.
            number: of the slice; default: the middle one.
            window: for more than 8 bits; default: of the training, else :data:`BOUNDS`.
            attributes: of its row in an annotation table.

        Raises:
            UserError: it cannot be read.
        """
        load = self.segment.load
        try:
            volume, deep = is_volume(file), self.is_deep(file)
            window = window or self.window
            options = dict(window=window) if deep and window != 'as in training' else {}
            slices = load.count(file, **options) if volume else 1
            attributes = dict(attributes or {})
            given = attributes.get('slice') if number is None else number
            number = min(slices // 2 if given in (None, '') else int(given), slices - 1)
            picture = load(file, {**attributes, 'slice': number}, **options)
        except (OSError, ValueError, ImportError) as error:
            raise UserError(str(error).replace(str(file), Path(file).name)) from error
        return Opened(picture, split_name(Path(file).name)[1], slices, number, deep)

    def is_deep(self, file: str) -> bool:
        """Whether a file is a volume or has more than 8 bits, so that windows and slices are to choose."""
        return is_volume(file) or _bits(file) > 8

    def ask(self, opened: Opened | None, text: str | None) -> Prediction:
        """Run the model.

        Raises:
            UserError: no picture or no sentence.
        """
        if opened is None:
            raise UserError('Open a picture first.')
        text = ' '.join((text or '').split())
        if not text and not self.segment.text_free:
            raise UserError('Write a sentence that names what to look for.')
        picture = np.ascontiguousarray(opened.picture.shown[..., ::-1])
        return replace(self.segment(picture, text or None), spacing=opened.picture.spacing)

    def remarks(self, text: str) -> list[str]:
        """What of a sentence the model cannot know: words that its training text lacked, and what is cut off."""
        step = next(find(self.segment.pipeline, type='TokenizeText'), None)
        if step is None or not text.strip():
            return []
        tokenizer, remarks = load_tokenizer(step.tokenizer), []
        if self.segment.cfg.model.text_encoder.get('pretrained') is None:
            known = set(tokenizer.vocab)
            words = dict.fromkeys(re.findall(r'[^\W\d_]+', text.lower()))
            strange = [word for word in words if word not in known]
            if strange:
                remarks.append(f'Not in the training text: {", ".join(strange)}.')
        most = step.get('max_tokens', 20)
        if tokenizer.encode(text, most)[1] > most:
            remarks.append(f'Only the first {most - 2} words or pieces of words are read.')
        return remarks

    def write_mask(self, answer: Prediction, name: str) -> str:
        """Path of a PNG, 0 and 255."""
        path = Path(mkdtemp(dir=self.folder)) / f'{name}_mask.png'
        write_png(path, answer.mask.astype(np.uint8) * 255)
        return str(path)


def summary(answer: Prediction) -> str:
    """One line about a mask, in markdown."""
    highest = f'highest probability {answer.probability.max():.2f}'
    if not answer.mask.any():
        return f'**Nothing found**: no pixel is above the threshold; {highest}.'
    area = '' if answer.area_mm2 is None else f', {answer.area_mm2:,.0f} mm²'
    share = f'{answer.mask.mean():.1%} of the picture'
    return f'**{answer.mask.sum():,} pixels**{area} ({share}); {highest}.'


def _bits(file: str) -> int:
    """Of a value of a picture; 8 where it cannot be read, which loading reports."""
    values = cv2.imread(file, cv2.IMREAD_UNCHANGED)
    return 8 if values is None else 8 * values.dtype.itemsize
