"""A folder that a converter writes: whole files, written once, counted, and listed with their checksums."""

import hashlib
import json
import os
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from ...fileio import whole_file

RECORD = 'conversion.json'
JOURNAL = '.conversion.jsonl'
CHECKSUMS = 'SHA256SUMS'
OWN = (RECORD, JOURNAL, CHECKSUMS)
LEFTOVER = re.compile(r'\.\d+\.part$')  # of fileio.whole_file, where a process was killed
SHOWN_PROBLEMS = 20


class ConversionError(ValueError):
    """What keeps a dataset from being converted: files and rows with what was expected and the mend.

    Args:
        heading: what was read.
        problems: one line each; the message shows the first 20, ``.problems`` keeps all.
    """

    def __init__(self, heading: str, problems: Sequence[str]) -> None:
        super().__init__(heading, tuple(problems))
        self.heading, self.problems = heading, tuple(problems)

    def __str__(self) -> str:
        lines = [f'{self.heading}: cannot be converted', *(f'  {line}' for line in self.problems[:SHOWN_PROBLEMS])]
        if len(self.problems) > SHOWN_PROBLEMS:
            lines.append(f'  ... and {len(self.problems) - SHOWN_PROBLEMS} more')
        return '\n'.join(lines)


class Conversion:
    """Writes one converted dataset, inside its folder and nowhere else.

    A file that an earlier run of the same conversion wrote from the same sources (by size and time of change) is left
    as it is, so a run that was stopped goes on, and a second run writes nothing. Use as a context manager: leaving the
    block without an error writes ``SHA256SUMS`` (as ``sha256sum -c`` reads it) and ``conversion.json``. Files of the
    earlier run that this one does not name are removed then; files that no run wrote are never touched.

    Args:
        name: the converter.
        out: folder to write: new, empty, or of the same conversion.
        arguments: what decides the result, for the record; JSON types. Another run with others is refused.
        progress: whether to show progress bars.

    Attributes:
        counts: what :meth:`count` counted.

    Raises:
        ConversionError: if ``out`` holds something else.
    """

    def __init__(self, name: str, out: str | os.PathLike, arguments: dict, progress: bool = True) -> None:
        self.out = Path(out)
        self.arguments = json.loads(json.dumps(dict(converter=name, **arguments)))
        self.show_progress = progress
        self.counts: Counter[str] = Counter()
        self.files: dict[str, dict] = {}
        self._before = self._read_record()

    def _read_record(self) -> dict[str, dict]:
        """Files of the earlier run, finished or not; starts the folder."""
        if self.out.exists() and not self.out.is_dir():
            raise ConversionError(str(self.out), ['is a file: give a folder'])
        record, journal = self.out / RECORD, self.out / JOURNAL
        before: dict[str, dict] = {}
        known = None
        if record.is_file():
            known, before = _parse_record(record)
        if journal.is_file():
            # Its last line may be half written.
            lines = [_parse(line) for line in journal.read_text(encoding='utf-8').splitlines()]
            entries = [line for line in lines if isinstance(line, dict)]
            known = entries[0]['arguments'] if entries and 'arguments' in entries[0] else known
            before |= {line['file']: line['entry'] for line in entries if _is_entry(line.get('entry'))}
        elif known is None and self.out.is_dir() and any(self.out.iterdir()):
            raise ConversionError(
                str(self.out), ['is not empty and was not written by this tool: give a new or empty folder']
            )
        if known is not None and known != self.arguments:
            raise ConversionError(
                str(self.out), [f'holds another conversion, {known}: give another folder, or delete this one']
            )
        return before

    def __enter__(self) -> 'Conversion':
        self._is_new = not self.out.exists()
        self.out.mkdir(parents=True, exist_ok=True)
        self._leftovers: dict[str, list[Path]] = {}
        for path in self.out.rglob('*.part'):
            name = LEFTOVER.sub('', path.relative_to(self.out).as_posix())
            self._leftovers.setdefault(name, []).append(path)
        self._journal = (self.out / JOURNAL).open('a', encoding='utf-8')
        if self._journal.tell() == 0:
            self._note(dict(arguments=self.arguments))
        else:
            self._journal.write('\n')  # ends a half-written line
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self._journal.close()
        if kind is not None:
            if not self.files and not self._before:  # refused: leave no trace, so that other arguments are not refused
                (self.out / JOURNAL).unlink()
                if self._is_new:
                    self.out.rmdir()
            return
        for relative in sorted(self._before.keys() - self.files.keys()):
            with suppress(ConversionError):  # a record that somebody changed names what no run wrote
                path = self._place(relative)
                if path.is_file():
                    path.unlink()
        sums = ''.join(f'{self.files[name]["sha256"]}  {name}\n' for name in sorted(self.files))
        record = dict(arguments=self.arguments, counts=dict(self.counts), files=self.files)
        self._write_changed(CHECKSUMS, sums.encode())
        self._write_changed(RECORD, json.dumps(record, indent=1).encode())
        (self.out / JOURNAL).unlink()

    def _write_changed(self, relative: str, content: bytes) -> None:
        """Write a file, unless it has this content already."""
        self._clear(relative)
        path = self.out / relative
        if not path.is_file() or path.read_bytes() != content:
            with whole_file(path, 'wb') as file:
                file.write(content)

    def _clear(self, relative: str) -> None:
        """Remove what a killed run left of a file."""
        for path in self._leftovers.pop(relative, ()):
            path.unlink(missing_ok=True)

    def _note(self, line: dict) -> None:
        self._journal.write(json.dumps(line) + '\n')
        self._journal.flush()

    def each(self, items: Iterable, unit: str = 'image', total: int | None = None) -> Iterator:
        """The items, with a progress bar."""
        return tqdm(items, unit=unit, total=total, desc=self.arguments['converter'], disable=not self.show_progress)

    def count(self, what: str, number: int = 1) -> None:
        """Add to a count that the tool prints in the end."""
        self.counts[what] += number

    def _place(self, relative: str) -> Path:
        """Path of a file below ``out``; names come from foreign files and may try to lead out."""
        plain = posixpath.normpath(relative.replace('\\', '/'))
        path = self.out / plain
        if posixpath.isabs(plain) or plain.split('/')[0] in ('..', '.', '') or ':' in plain.split('/')[0]:
            raise ConversionError(relative, [f'{relative} leads out of the folder that is written: rename the file'])
        if plain in OWN:
            raise ConversionError(
                relative, [f'{relative} is the name of a file that this tool writes: rename the file']
            )
        if self.out.resolve() not in path.resolve().parents:
            raise ConversionError(relative, [f'{relative} leads out of {self.out} by a symbolic link: remove the link'])
        return path

    def write(self, relative: str, make: Callable[[], bytes | np.ndarray], *sources: str | os.PathLike) -> str:
        """Write one file, unless an earlier run did so from the same sources.

        Args:
            relative: its name below ``out``.
            make: gives the content: bytes, or a picture (H, W) or (H, W, 3) BGR, uint8 or uint16, saved as PNG.
            sources: files from which it is made.

        Returns:
            ``relative``.
        """
        path = self._place(relative)
        if relative in self.files:
            raise ConversionError(relative, [f'{relative} would be written twice: two sources have the same name'])
        self._clear(relative)
        stamp = [[stat.st_size, stat.st_mtime_ns] for stat in map(os.stat, sources)]
        known = self._before.get(relative)
        if known and known['sources'] == stamp and path.is_file() and path.stat().st_size == known['size']:
            self.files[relative] = known
            return relative
        content = make()
        if isinstance(content, np.ndarray):
            done, encoded = cv2.imencode('.png', content)
            if not done:
                raise OSError(f'{path}: OpenCV could not encode a picture of {content.dtype}, {content.shape}')
            content = encoded.tobytes()
        with whole_file(path, 'wb') as file:
            file.write(content)
        entry = dict(sha256=hashlib.sha256(content).hexdigest(), size=len(content), sources=stamp)
        self.files[relative] = entry
        self._note(dict(file=relative, entry=entry))
        return relative

    def copy(self, relative: str, source: str | os.PathLike) -> str:
        """Copy one file; see :meth:`write`."""
        return self.write(relative, Path(source).read_bytes, source)

    def table(self, relative: str, rows: Iterable[dict[str, Any]]) -> str:
        """Write rows as jsonl; see :meth:`put`."""
        return self.put(relative, ''.join(json.dumps(row, ensure_ascii=False) + '\n' for row in rows).encode())

    def put(self, relative: str, content: bytes) -> str:
        """Write a file of what is at hand, made in each run; one with the same content is left untouched."""
        self._place(relative)
        self._write_changed(relative, content)
        self.files[relative] = dict(sha256=hashlib.sha256(content).hexdigest(), size=len(content), sources=[])
        return relative


def _parse(line: str) -> dict | None:
    try:
        return json.loads(line) if line.strip() else None
    except json.JSONDecodeError:
        return None


def _parse_record(path: Path) -> tuple[dict, dict[str, dict]]:
    """Arguments and files of ``conversion.json``."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        known, files = content['arguments'], content['files']
        good = isinstance(known, dict) and all(map(_is_entry, files.values()))
    except (ValueError, LookupError, TypeError, AttributeError):
        good = False
    if not good:
        raise ConversionError(
            str(path),
            ['was not written by this tool, or is damaged: delete its folder and convert anew, or give another folder'],
        )
    return known, files


def _is_entry(value: Any) -> bool:
    return isinstance(value, dict) and {'sha256', 'size', 'sources'} <= value.keys()
