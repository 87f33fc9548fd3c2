"""Pickles of plain data, read without running what stands in them.

A pickle is a program for a small machine, and some of its opcodes import and call what they name. Here the machine has
only the opcodes that make lists, dicts, tuples, numbers, strings, bytes, booleans and None; any other stops it.
"""

import io
import os
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .conversion import ConversionError

# What Python 2 and 3 write for plain data, in protocols 0 to 5. GLOBAL, STACK_GLOBAL and INST name a class or function:
# they are here because they end in find_class, which refuses it by its name.
OPCODES = (
    *('MARK', 'STOP', 'PROTO', 'FRAME', 'PUT', 'BINPUT', 'LONG_BINPUT', 'MEMOIZE', 'GET', 'BINGET', 'LONG_BINGET'),
    *('NONE', 'NEWTRUE', 'NEWFALSE', 'INT', 'BININT', 'BININT1', 'BININT2', 'LONG', 'LONG1', 'LONG4', 'FLOAT'),
    *('BINFLOAT', 'STRING', 'BINSTRING', 'SHORT_BINSTRING', 'UNICODE', 'BINUNICODE', 'SHORT_BINUNICODE'),
    *('BINUNICODE8', 'BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8'),
    *('LIST', 'EMPTY_LIST', 'APPEND', 'APPENDS', 'DICT', 'EMPTY_DICT', 'SETITEM', 'SETITEMS'),
    *('TUPLE', 'EMPTY_TUPLE', 'TUPLE1', 'TUPLE2', 'TUPLE3', 'GLOBAL', 'STACK_GLOBAL', 'INST'),
)
REFUSED = (
    'reading it could run code, so it was not read: only lists, dicts, tuples, numbers and strings are taken; get the '
    'file anew from its publisher'
)


class _Refused(Exception):
    """The pickle asks for more than plain data."""


class _Dispatch(dict):
    """Opcode -> method."""

    def __missing__(self, code: int) -> None:
        known = pickletools.code2op.get(chr(code))
        if known is None:
            raise pickle.UnpicklingError(f'no opcode {bytes([code])!r}')
        raise _Refused(f'has the opcode {known.name}: {REFUSED}')


def _filling(opcode: str) -> Callable[[pickle._Unpickler], None]:
    """Method of an opcode that puts values into a dict.

    Python hashes a tuple of tuples without a limit of depth: one nested a million times as a key ends the process.
    """
    method = pickle._Unpickler.dispatch[getattr(pickle, opcode)[0]]

    def fill(unpickler: pickle._Unpickler) -> None:
        keys = unpickler.stack[-2:-1] if opcode == 'SETITEM' else unpickler.stack[::2]
        if any(isinstance(key, tuple) for key in keys):
            raise _Refused('has a tuple as a key of a dict: expected strings or numbers')
        method(unpickler)

    return fill


# The one written in Python: the C one has no table of opcodes to narrow, and takes a memo index of 4 billion in a file
# of 20 bytes for the size of a table to allocate.
class _PlainUnpickler(pickle._Unpickler):
    dispatch = _Dispatch((code, pickle._Unpickler.dispatch[code]) for name in OPCODES for code in getattr(pickle, name))
    dispatch.update((getattr(pickle, opcode)[0], _filling(opcode)) for opcode in ('SETITEM', 'SETITEMS', 'DICT'))

    def find_class(self, module: str, name: str) -> None:
        raise _Refused(f'asks for {module}.{name}: {REFUSED}')


def load_plain_pickle(path: str | os.PathLike, max_values: int = 50_000_000) -> Any:
    """Read a pickle that holds plain data only.

    Nothing is imported, called or constructed but the types named above, whatever the file says. Python 2's strings
    become str, from UTF-8, or all of them from latin-1 if one is no UTF-8.

    Memory is bounded by the size of the file, about a hundred bytes for each of its own: lengths and memo indices that
    the file merely claims allocate nothing. Lists that hold one another many times over, or themselves, are refused by
    ``max_values``, so that walking through the result ends. Time to read is not bounded otherwise: keys of a dict may
    be chosen to collide.

    Args:
        path: the file.
        max_values: how many values the result may have, one that stands in several places counted at each.

    Raises:
        ConversionError: if the file asks for a class or function (the message names it), is cut off or no pickle, has
            a tuple as a key of a dict, or unfolds to more than ``max_values``.
        OSError: if it cannot be read.
    """
    content = Path(path).read_bytes()
    try:
        try:
            value = _PlainUnpickler(io.BytesIO(content), encoding='utf-8').load()
        except UnicodeDecodeError:
            value = _PlainUnpickler(io.BytesIO(content), encoding='latin-1').load()
        if _count(value, {}) > max_values:
            raise _Refused(f'unfolds to more than {max_values:,} values: expected a table of plain data')
    except _Refused as error:
        raise ConversionError(str(path), [str(error)]) from None
    except EOFError:
        raise ConversionError(str(path), [f'ends early, after {len(content):,} bytes: copy it anew']) from None
    except RecursionError:
        raise ConversionError(str(path), ['is nested too deep: expected a table of plain data']) from None
    except Exception as error:  # a broken stream fails in as many ways as there are opcodes
        raise ConversionError(
            str(path), [f'is no readable pickle ({type(error).__name__}: {error}): copy it anew']
        ) from error
    return value


def _count(value: Any, known: dict[int, float]) -> float:
    """Values in a nest of containers, without walking twice through any; infinite if one holds itself."""
    if not isinstance(value, (list, tuple, dict)):
        return 1
    if id(value) not in known:
        known[id(value)] = float('inf')
        parts = (part for pair in value.items() for part in pair) if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count(part, known) for part in parts)
    return known[id(value)]
