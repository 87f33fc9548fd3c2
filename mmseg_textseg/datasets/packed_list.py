"""A list of many small objects in little memory."""

import pickle
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, overload

BLOCK = 64  # a larger block packs better and takes longer to read one object from


class PackedList(Sequence):
    """A read-only list whose objects are pickled and compressed, ``BLOCK`` at a time.

    A million rows of a referring dataset take a tenth of what they take as dicts, and since nothing in here is a
    Python object a row, worker processes share the memory after a fork instead of copying it page by page. Every access
    makes the object anew, so that changing it changes nothing in the list.

    Args:
        items: picklable objects; read once, never held all together.
    """

    def __init__(self, items: Iterable[Any] = ()) -> None:
        self._data = bytearray()
        self._blocks = array('q', [0])  # where each block starts in _data, and where the last one ends
        self._sizes = array('l')  # of each pickled object
        items = iter(items)
        while block := [pickle.dumps(item, pickle.HIGHEST_PROTOCOL) for item in islice(items, BLOCK)]:
            self._sizes.extend(map(len, block))
            self._data += zlib.compress(b''.join(block), 1)
            self._blocks.append(len(self._data))

    def __len__(self) -> int:
        return len(self._sizes)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> 'PackedList': ...

    def __getitem__(self, index):
        if isinstance(index, slice):
            return PackedList(self[i] for i in range(*index.indices(len(self))))
        place = range(len(self))[index]  # negative ones, and IndexError
        number, inside = divmod(place, BLOCK)
        start = sum(self._sizes[place - inside : place])
        return pickle.loads(memoryview(self._block(number))[start : start + self._sizes[place]])

    def __iter__(self) -> Iterator[Any]:
        for number in range(len(self._blocks) - 1):
            block, start = memoryview(self._block(number)), 0
            for size in self._sizes[number * BLOCK : (number + 1) * BLOCK]:
                yield pickle.loads(block[start : start + size])
                start += size

    def _block(self, number: int) -> bytes:
        return zlib.decompress(memoryview(self._data)[self._blocks[number] : self._blocks[number + 1]])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({len(self)} objects, {len(self._data)} bytes)'
