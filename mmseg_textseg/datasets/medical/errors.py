"""What is wrong with a volume, and libraries that may be missing."""

import importlib
from types import ModuleType

from ..errors import PictureError


class MedicalImageError(PictureError):
    """A file of CT or MRI that cannot be used as asked: names the file, what was expected, and the mend."""


def load_library(name: str) -> ModuleType:
    """Import nibabel or pydicom, which only the extra ``data`` installs.

    Raises:
        ImportError: naming the command that installs it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.split('.')[0]:
            raise
        raise ImportError(
            f"reading CT and MRI needs {error.name}: pip install 'mmseg_textseg[data]'", name=error.name
        ) from error
