"""Features of sentences on disk: safetensors files that only their own encoder reads."""

import json
import uuid
import weakref
import zlib
from hashlib import sha256
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, uint8

from ...fileio import whole_file
from .errors import TextCacheError

FORMAT = 'mmseg_textseg text features 1'
SUFFIX = '.safetensors'


class FeatureFiles:
    """A folder of immutable files, ``<key of the encoder>-<random>.safetensors``, read as one table.

    Several processes may share it, also over a network: each writes files of its own, which take their name when they
    are whole, and finds those of the others. A tensor is named by its token ids, and read (memory-mapped) when asked
    for; the header holds the encoder's identity and a checksum a tensor.

    Args:
        folder: made when something is written.
        identity: all that features depend on; a file of another one is never read.
        most_pending: bytes to gather before a file is written.

    Raises:
        TextCacheError: a file under this encoder's key is damaged, or its header names another encoder.
    """

    def __init__(self, folder: str, identity: dict, most_pending: int = 64 * 2**20):
        self.folder = Path(folder)
        self.most_pending = most_pending
        self._header = json.dumps(dict(format=FORMAT, **identity), sort_keys=True)
        self._key = sha256(self._header.encode()).hexdigest()[:32]
        self._opened: set[str] = set()
        self._places: dict[str, tuple[Path, safe_open, int]] = {}  # name -> file, open file, checksum
        self._pending: dict[str, Tensor] = {}
        weakref.finalize(self, _write, self.folder, self._key, self._header, self._pending)
        self.refresh()
        others = sum(not path.name.startswith(self._key) for path in self.folder.glob(f'*{SUFFIX}'))
        print_log(
            f'text cache {folder}: {len(self._places)} sentences of this encoder'
            + (f'; {others} files of other weights, vocabularies or shapes are not read' if others else ''),
            logger='current',
        )

    def __len__(self) -> int:
        return len(self._places.keys() | self._pending.keys())

    def refresh(self) -> None:
        """Find the files that other processes have written meanwhile."""
        for path in sorted(self.folder.glob(f'{self._key}-*{SUFFIX}')):
            if path.name not in self._opened:
                self._open(path)

    def _open(self, path: Path) -> None:
        try:
            file = safe_open(path, 'pt')
            header = file.metadata() or {}
            names, checksums = sorted(file.keys()), json.loads(header.get('checksums', '[]'))
        except (SafetensorError, OSError, ValueError) as error:
            raise _damaged(path, error) from error
        if header.get('encoder') != self._header:
            raise TextCacheError(
                f'text cache {path} bears the key of this text encoder, but its header names another one '
                f'({str(header.get("encoder"))[:200]}). Was it renamed? Delete it'
            )
        if len(names) != len(checksums):
            raise _damaged(path, f'{len(names)} sentences, {len(checksums)} checksums')
        self._opened.add(path.name)
        self._places.update((n, (path, file, c)) for n, c in zip(names, checksums, strict=True))

    def read(self, sentence: bytes) -> Tensor | None:
        """Tokens (T, C) of a sentence, by its ids (int64 bytes); None where no file has it.

        Raises:
            TextCacheError: they are not what was written.
        """
        name = _name(sentence)
        if name in self._pending:
            return self._pending[name]
        if name not in self._places:
            return None
        path, file, checksum = self._places[name]
        try:
            tokens = file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise _damaged(path, error) from error
        if _checksum(tokens) != checksum:
            raise _damaged(path, f'other values than were written for the sentence of ids {name}')
        return tokens

    def add(self, sentence: bytes, tokens: Tensor) -> None:
        """Keep tokens (T, C), on the CPU; they are written with others, at the latest when the process ends."""
        self._pending[_name(sentence)] = tokens
        if sum(t.nbytes for t in self._pending.values()) >= self.most_pending:
            self.write()

    def write(self) -> None:
        """Write what was added.

        Raises:
            TextCacheError: it cannot be written.
        """
        path = _write(self.folder, self._key, self._header, self._pending)
        if path is not None:
            self._open(path)


def _name(sentence: bytes) -> str:
    return ' '.join(map(str, np.frombuffer(sentence, np.int64)))


def _checksum(tokens: Tensor) -> int:
    return zlib.crc32(tokens.flatten().view(uint8).numpy())


def _damaged(path: Path, error: object) -> TextCacheError:
    return TextCacheError(f'text cache {path} is damaged ({error}): delete this file, its sentences are encoded anew')


def _write(folder: Path, key: str, header: str, pending: dict[str, Tensor]) -> Path | None:
    """Write ``pending`` as a file, and empty it."""
    if not pending:
        return None
    checksums = [_checksum(pending[name]) for name in sorted(pending)]
    data = save(pending, dict(encoder=header, checksums=json.dumps(checksums)))
    path = folder / f'{key}-{uuid.uuid4().hex}{SUFFIX}'
    try:
        with whole_file(path, 'wb') as file:
            file.write(data)
    except OSError as error:
        raise TextCacheError(
            f'text cache {path} cannot be written ({error}): make room or give another folder as '
            'model.text_encoder.cache; None keeps features in memory only'
        ) from error
    pending.clear()
    return path
