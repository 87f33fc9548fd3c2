"""Checkpoints, read without running what stands in them.

A checkpoint is a pickle, that is, a program. With ``weights_only`` PyTorch calls nothing but what a list allows.
mmengine has two holes in it: what the list refuses is read once more without it (OpenMMLab's own reads so from the
start, where PyTorch is older than 2.6); and on its list is ``getattr``, by which a file gets at ``exec``. Here the list
is short (``safe_values.py``), and what it refuses stays unread.

Importing this module gives the loader to ``mmengine.runner.CheckpointLoader``, and so to the Runner,
``init_cfg``, ``load_checkpoint`` and MMSegmentation's own tools.
"""

import os
import os.path as osp
import re
import tarfile
import zipfile
from pickle import UnpicklingError
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.dist import get_dist_info
from mmengine.fileio import get_file_backend
from mmengine.logging import print_log
from mmengine.runner import checkpoint as mmcheckpoint
from mmengine.runner.checkpoint import CheckpointLoader
from safetensors import SafetensorError
from safetensors.torch import load_file

from .safe_values import RefusedError, only_these_values, without_stand_ins

TRUST = 'MMSEG_TEXTSEG_TRUST_CHECKPOINTS'
EXPECTED = 'expected a .pth file that PyTorch has saved, or .safetensors'


class CheckpointError(RuntimeError):
    """A checkpoint that is damaged, is none, or could run code; the message names the file and the mend."""


def read_checkpoint(filename: str | os.PathLike, map_location=None) -> dict:
    """Read a checkpoint of this machine; it holds tensors and plain values, or is refused.

    With ``MMSEG_TEXTSEG_TRUST_CHECKPOINTS=1`` in the environment anything is read, and code in it runs.

    Args:
        filename: ``.safetensors``, or what ``torch.save`` has written, also in the format before 1.6.
        map_location: as for ``torch.load``; of ``.safetensors`` a device, anything else is the CPU.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: refused, damaged, no checkpoint, or not a dict.
    """
    path = osp.expanduser(filename)
    if not osp.isfile(path):
        raise FileNotFoundError(f'no checkpoint at {path}')
    if osp.getsize(path) == 0:
        raise CheckpointError(f'{path} is no checkpoint but empty (0 bytes): copy it anew')
    try:
        loaded = _read(path, map_location)
    except RefusedError as error:
        raise CheckpointError(
            f'{path} was not read: it {error}, and to read that could run code. Get weights with tensors and plain '
            f'values only, e.g. .safetensors; or, if you trust whoever made the file, set {TRUST}=1'
        ) from None
    except (OSError, CheckpointError):
        raise
    except Exception as error:  # a broken file fails in as many ways as there are bytes
        if 'map_location' in str(error):
            raise
        said = (str(error).partition('WeightsUnpickler error: ')[2] or str(error) or type(error).__name__).splitlines()
        raise CheckpointError(f'{path} is no checkpoint, or a damaged one ({said[0]}): {EXPECTED}') from error
    if not isinstance(loaded, dict):
        raise CheckpointError(f'{path} holds a {type(loaded).__name__}; expected a dict of tensors, or with state_dict')
    return loaded


def _read(path: str, map_location) -> Any:
    if path.endswith('.safetensors'):
        try:
            return load_file(path, map_location if isinstance(map_location, (str, torch.device)) else 'cpu')
        except SafetensorError as error:
            raise CheckpointError(f'{path} is no safetensors file, or a damaged one ({error}): copy it anew') from error
    if os.environ.get(TRUST) == '1':
        print_log(f'{TRUST}=1: {path} is read, and code in it runs.', 'current', level=30)
        return torch.load(path, map_location, weights_only=False)
    _examine(path)
    with only_these_values():
        try:
            loaded = torch.load(path, map_location, weights_only=True)
        except UnpicklingError as error:
            text = str(error)
            if named := re.search(r'\bGLOBAL (\S+)', text):
                raise RefusedError(f'asks for {named[1]}') from error
            if refused := re.search(r'(Trying to|Can only) [^\n]+', text):
                raise RefusedError(f'does what checkpoints do not ({refused[0]})') from error
            raise
    return without_stand_ins(loaded)


def _examine(path: str) -> None:
    """Name what is no checkpoint, and refuse the two formats in which ``weights_only`` of PyTorch < 2.6 runs code."""
    with open(path, 'rb') as file:
        start = file.read(64)
    if start.startswith(b'PK\x03\x04'):
        if not zipfile.is_zipfile(path):
            raise CheckpointError(
                f'{path} is no whole checkpoint: its end is missing, {osp.getsize(path):,} bytes are there. Copy it '
                'anew, or take an earlier one'
            )
        try:
            records = torch._C.PyTorchFileReader(path).get_all_records()
        except RuntimeError:
            records = []
        if 'constants.pkl' in records:
            raise RefusedError('is a TorchScript program')
        if 'data.pkl' not in records:
            raise CheckpointError(f'{path} is no checkpoint but a zip archive of something else: {EXPECTED}')
    elif tarfile.is_tarfile(path):
        raise RefusedError('is a tar archive, the format of PyTorch before 0.1.10')
    elif start.startswith(b'version https://git-lfs'):
        raise CheckpointError(f'{path} is no checkpoint but the note that Git LFS has for it: git lfs pull')
    elif start.lstrip().startswith(b'<'):
        raise CheckpointError(f'{path} is no checkpoint but a web page: download the file that the page is about')


@CheckpointLoader.register_scheme('', force=True)
def load_from_local(filename: str, map_location=None) -> dict:
    """:func:`read_checkpoint` for paths."""
    return read_checkpoint(filename, map_location)


@CheckpointLoader.register_scheme(('http://', 'https://'), force=True)
def load_from_http(filename: str, map_location=None) -> dict:
    """Download a checkpoint to ``torch.hub``'s cache, where mmengine has it too, and read it.

    Raises:
        CheckpointError: as :func:`read_checkpoint`, or it cannot be downloaded.
    """
    path = osp.join(torch.hub.get_dir(), 'checkpoints', osp.basename(urlparse(filename).path))
    rank, processes = get_dist_info()
    try:
        if rank == 0:
            _download(filename, path)
    finally:  # the others would wait for ever
        if processes > 1:
            torch.distributed.barrier()
    if rank > 0:  # on another machine
        _download(filename, path)
    return read_checkpoint(path, map_location)


def _download(url: str, path: str) -> None:
    if osp.isfile(path):
        return
    try:
        os.makedirs(osp.dirname(path), exist_ok=True)
        torch.hub.download_url_to_file(url, path, progress=os.isatty(0))
    except OSError as error:
        raise CheckpointError(
            f'{url} cannot be downloaded ({error}): download it elsewhere, and give the path of the file'
        ) from error


@CheckpointLoader.register_scheme((r'(\S+\:)?s3://', r'(\S+\:)?petrel://'), force=True)
def load_from_ceph(filename: str, map_location=None) -> dict:
    """:func:`read_checkpoint` for mmengine's Petrel backend."""
    with get_file_backend(filename, backend_args=dict(backend='petrel')).get_local_path(filename) as path:
        return read_checkpoint(path, map_location)


@CheckpointLoader.register_scheme(
    ('open-mmlab://', 'openmmlab://', 'mmcls://', 'torchvision://', 'modelzoo://'), force=True
)
def load_from_zoo(filename: str, map_location=None) -> dict:
    """:func:`load_from_http` for the names of models that mmengine knows.

    Raises:
        CheckpointError: as :func:`load_from_http`, or mmengine does not know the name.
    """
    zoo, _, name = filename.partition('://')
    if zoo in ('open-mmlab', 'openmmlab'):
        name = mmcheckpoint.get_deprecated_model_names().get(name, name)
        urls = mmcheckpoint.get_external_models()
    else:
        urls = mmcheckpoint.get_mmcls_models() if zoo == 'mmcls' else mmcheckpoint.get_torchvision_models()
    if name not in urls:
        raise CheckpointError(f'{filename}: mmengine knows {", ".join(sorted(urls)[:5])} and {len(urls) - 5} more')
    where = urls[name] if '://' in urls[name] else osp.join(mmcheckpoint._get_mmengine_home(), urls[name])
    loaded = CheckpointLoader.load_checkpoint(where, map_location)
    return mmcheckpoint._process_mmcls_checkpoint(loaded) if zoo == 'mmcls' else loaded


@CheckpointLoader.register_scheme('pavi://', force=True)
def load_from_pavi(filename: str, map_location=None) -> dict:
    """Refuse; mmengine's own would run code.

    Raises:
        CheckpointError: always.
    """
    raise CheckpointError(f'{filename}: pavi:// is not read here; download the file and give its path')
