"""Command lines, and disks that take no file."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bad_input import Case, Place, call, inferencer, noise, write

from mmseg_textseg.fileio import write_png


def picture(place: Place) -> Place:
    write(place.folder / 'a.png', noise())
    return place


def predict(*argv, config: str = '{config}', checkpoint: str = '{checkpoint}') -> Callable[[Place], None]:
    """``tools/predict.py`` with a model that is built once; names in braces are those of the place."""

    def run(place: Place) -> None:
        words = [word.format(**place._asdict()) for word in (config, checkpoint, *argv) if word]
        # A device is tried when the model is built.
        known = (
            {} if '--device' in words else dict(TextSegInferencer=lambda *_: inferencer(place.config, place.checkpoint))
        )
        call('predict', *words, replaced=known)

    return run


ONE = ('--image', '{folder}/a.png', '--text', 'the lesion', '--out', '{folder}/m.png')
FOLDER = ('--images', '{folder}', '--text', 'the lesion', '--out', '{folder}/out')


def tool(name: str, *argv) -> Callable[[Place], None]:
    return lambda place: call(name, *(word.format(**place._asdict()) for word in argv))


def file_for_a_folder(place: Place) -> Place:
    (place.folder / 'out').write_text('not a folder')
    return picture(place)


def one_damaged(place: Place) -> Place:
    (place.folder / 'c.png').write_text('no picture')
    return picture(place)


class _Full:
    """A file on a disk that takes its first bytes only."""

    def __init__(self, file):
        self._file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def write(self, data):
        self._file.write(data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_disk(place: Place) -> Place:
    opened = Path.open
    place.patch.setattr(
        Path,
        'open',
        lambda path, mode='r', **options: (
            _Full(opened(path, mode, **options)) if 'w' in mode else opened(path, mode, **options)
        ),
    )
    return picture(place)


def no_permission(place: Place) -> Place:
    opened = Path.open

    def refused(path, mode='r', **options):
        if 'w' in mode:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, mode, **options)

    made = picture(place)
    place.patch.setattr(Path, 'open', refused)
    return made


def write_one(place: Place) -> None:
    write_png(place.folder / 'm.png', np.zeros((4, 4), np.uint8))


def kept(place: Place) -> Place:
    """A file that is to be replaced."""
    write_one(place)
    return full_disk(place)


CASES = [
    Case(
        'predict: no such config',
        picture,
        predict(*ONE, config='gone.py'),
        SystemExit,
        ('ConfigError: no config file at gone.py',),
    ),
    Case(
        'predict: a mistyped name of a model',
        picture,
        predict(*ONE, config='lsms-xs_phantom_96x69'),
        SystemExit,
        ("no model 'lsms-xs_phantom_96x69'", 'did you mean lsms-xs_phantom_96x96'),
    ),
    Case(
        'predict: no checkpoint given',
        picture,
        predict(*ONE, checkpoint=''),
        SystemExit,
        ('no checkpoint given', 'give a .pth file'),
    ),
    Case(
        'predict: no such checkpoint',
        picture,
        predict(*ONE, checkpoint='gone.pth'),
        SystemExit,
        ('ConfigError: no checkpoint at gone.pth',),
    ),
    Case(
        'predict: no such image',
        picture,
        predict('--image', '{folder}/b.png', '--text', 'x', '--out', '{folder}/m.png'),
        SystemExit,
        ('ConfigError: --image', 'b.png is not there'),
    ),
    Case(
        'predict: an empty sentence',
        picture,
        predict('--image', '{folder}/a.png', '--text', ' ', '--out', '{folder}/m.png'),
        SystemExit,
        ('text must be a sentence', "got ' '"),
    ),
    Case(
        'predict: no sentence',
        picture,
        predict('--image', '{folder}/a.png', '--out', '{folder}/m.png'),
        SystemExit,
        ('this model needs a sentence', 'give --text or --texts'),
    ),
    Case(
        'predict: --out of another kind',
        picture,
        predict(*ONE[:-1], '{folder}/m.jpg'),
        SystemExit,
        ('--out must end in .png', 'm.jpg'),
    ),
    Case(
        'predict: a threshold of 2',
        picture,
        predict(*ONE, '--threshold', '2'),
        SystemExit,
        ('threshold must be 0 to 1, got 2',),
    ),
    Case(
        'predict: a device that is not there',
        picture,
        predict(*ONE, '--device', 'gpu'),
        SystemExit,
        ("device 'gpu' cannot be used", 'cpu always can'),
    ),
    Case(
        'predict: an unknown window',
        picture,
        predict(*ONE, '--window', 'kidney'),
        SystemExit,
        ("window 'kidney' is unknown", 'expected one of abdomen'),
    ),
    Case(
        'predict: a folder that is none',
        picture,
        predict('--images', '{folder}/gone', '--text', 'x', '--out', '{folder}/out'),
        SystemExit,
        ('FileNotFoundError: no folder', 'gone'),
    ),
    Case(
        'predict: a file where the folder --out should be',
        file_for_a_folder,
        predict(*FOLDER),
        SystemExit,
        ('ConfigError: --out', 'out is a file', 'give a folder'),
    ),
    Case(
        'predict: a damaged picture among good ones',
        lambda place: (
            (write(place.folder / 'b.png', noise()), (place.folder / 'c.png').write_text('no picture'))[0] and place
        ),
        predict(*FOLDER),
        SystemExit,
        ('1 of 2 rows have a picture that cannot be used', 'c.png is not a picture that can be read'),
    ),
    Case(
        'an option without a value in --cfg-options',
        picture,
        predict(*ONE, '--cfg-options', 'train_cfg.max_iters'),
        SystemExit,
        ("'train_cfg.max_iters': expected KEY=VALUE", 'e.g. train_cfg.max_iters=100'),
    ),
    Case(
        'half a bracket in --cfg-options',
        picture,
        predict(*ONE, '--cfg-options', 'crop_size=[1,2'),
        SystemExit,
        ('--cfg-options', 'close every bracket'),
    ),
    Case('the disk is full', full_disk, predict(*ONE), SystemExit, ('OSError: ', 'No space left on device', 'm.png')),
    Case(
        'the disk is full while a file is replaced',
        kept,
        predict(*ONE),
        SystemExit,
        ('OSError: ', 'No space left on device', 'm.png'),
    ),
    Case(
        'no permission to write',
        no_permission,
        predict(*ONE),
        SystemExit,
        ('PermissionError', 'Permission denied', 'm.png'),
    ),
    Case(
        'test: no such checkpoint',
        picture,
        tool('test', '{config}', '{folder}/gone.pth'),
        SystemExit,
        ('ConfigError: no checkpoint at', 'gone.pth'),
    ),
    Case(
        'test: an unknown protocol',
        picture,
        tool('test', '{config}', '{checkpoint}', '--protocol', 'mean'),
        SystemExit,
        ("invalid choice: 'mean'", 'lvit'),
    ),
    Case(
        'test: a file where the folder --out should be',
        file_for_a_folder,
        tool('test', '{config}', '{checkpoint}', '--out', '{folder}/out'),
        SystemExit,
        ('ConfigError: --out', 'out is a file', 'give a folder'),
    ),
    Case(
        'test: --save-masks without --out',
        picture,
        tool('test', '{config}', '{checkpoint}', '--save-masks'),
        SystemExit,
        ('--save-masks needs --out DIR',),
    ),
    Case(
        'test: --tta without a pipeline for it',
        picture,
        tool('test', '{config}', '{checkpoint}', '--tta'),
        SystemExit,
        ('tiny.py has no tta_model and no tta_pipeline for --tta', 'docs/pretraining.md'),
    ),
    Case(
        'browse_dataset: an unknown split',
        picture,
        tool('browse_dataset', '{config}', '--split', 'dev', '--out', '{folder}/out'),
        SystemExit,
        ("invalid choice: 'dev'", 'train'),
    ),
    Case(
        'doctor: a split without its table',
        picture,
        tool('doctor', '--root', '{folder}', '--ann', 'train'),
        SystemExit,
        ('--ann wants SPLIT=TABLE', 'e.g. train=train.csv'),
    ),
    Case(
        'doctor: no such table',
        picture,
        tool('doctor', '--root', '{folder}', '--ann', 'train=gone.csv'),
        SystemExit,
        ('gone.csv',),
    ),
    Case(
        'convert_dataset: an unknown dataset',
        picture,
        lambda place: call('convert_dataset', 'gone'),
        SystemExit,
        ("invalid choice: 'gone'",),
    ),
]
