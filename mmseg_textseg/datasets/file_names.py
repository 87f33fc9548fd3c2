"""Names of image files: their parts, and which file of a folder a name in a table means."""

import errno
import os
import os.path as osp
import posixpath

from mmengine import fileio

# Only such endings are taken off before names are compared by stem ('case.12' has none), and only such files
# of a folder are found by stem (a 'case.txt' beside 'case.png' is no rival).
PICTURE_EXTENSIONS = {'.png', '.tif', '.tiff', '.jpg', '.jpeg', '.bmp', '.gif', '.webp', '.pgm', '.ppm'}
IMAGE_EXTENSIONS = PICTURE_EXTENSIONS | {'.nii', '.nii.gz', '.dcm'}


def split_name(name: str) -> tuple[str, str, str]:
    """``'sub/case.1.png'`` -> ``('sub', 'case.1', '.png')``; an ending that is no picture's belongs to the stem.

    ``'.nii.gz'`` is one ending.
    """
    below, base = posixpath.split(name.replace('\\', '/'))
    extension = '.nii.gz' if base.lower().endswith('.nii.gz') else osp.splitext(base)[1].lower()
    if extension not in IMAGE_EXTENSIONS:
        return below, base, ''
    return below, base[: -len(extension)], base[-len(extension) :]


class Folder:
    """Finds files by name or stem, with one listing a folder."""

    def __init__(self, root: str, role: str, prefix: str, backend_args: dict | None) -> None:
        if not fileio.isdir(root or '.', backend_args=backend_args):
            raise FileNotFoundError(
                f'{role} folder {root!r} does not exist; set data_root and data_prefix[{prefix!r}] to it'
            )
        self.root, self.role, self.backend_args = root, role, backend_args
        self._listings: dict[str, tuple[set[str], dict[str, list[str]]]] = {}

    def _listing(self, below: str) -> tuple[set[str], dict[str, list[str]]]:
        if below not in self._listings:
            folder = (osp.join(self.root, below) if below else self.root) or '.'
            names: set[str] = set()
            if fileio.isdir(folder, backend_args=self.backend_args):
                names.update(_files(folder, self.backend_args))
            stems: dict[str, list[str]] = {}
            for name in sorted(names):
                _, stem, extension = split_name(name)
                if extension:
                    stems.setdefault(stem, []).append(name)
            self._listings[below] = names, stems
        return self._listings[below]

    def find(self, name: str) -> str:
        """Path of the file (or folder, of a DICOM series) that ``name`` means; LookupError with what is wrong."""
        name = name.replace('\\', '/')
        if osp.isabs(name):
            name = osp.relpath(name, osp.abspath(self.root))
        name = posixpath.normpath(name)
        if name.split('/')[0] == '..':
            raise LookupError(f'which leads out of the {self.role} folder {self.root}: name a file inside it')
        below, base = posixpath.split(name)
        folder = osp.join(self.root, below) if below else self.root
        names, stems = self._listing(below)
        if base in names:
            return osp.join(self.root, name)
        matches = stems.get(base, []) or stems.get(split_name(base)[1], [])
        if not matches and fileio.isdir(osp.join(self.root, name), backend_args=self.backend_args):
            if split_name(base)[2].lower() in PICTURE_EXTENSIONS:
                raise LookupError(f'which is a folder in {folder}: expected the file of a picture')
            return osp.join(self.root, name)  # of a DICOM series
        if not matches and osp.islink(osp.join(self.root, name)):
            raise LookupError(f'in {folder} a symbolic link that leads to no {self.role}: mend the link or the cell')
        if not matches:
            raise LookupError(f'no {self.role} of that name or stem in {folder}: add the file or mend the cell')
        if len(matches) > 1:
            raise LookupError(
                f'which by stem may be the {self.role} {" or ".join(matches)} in {folder}: write the exact name'
            )
        return osp.join(self.root, below, matches[0])


def _files(folder: str, backend_args: dict | None) -> list[str]:
    """Names of the files in a folder."""
    try:
        return list(fileio.list_dir_or_file(folder, list_dir=False, backend_args=backend_args))
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        # One link that leads back to itself stops mmengine's listing, whether a row names it or not.
        return [name for name in os.listdir(folder) if osp.isfile(osp.join(folder, name))]
