"""What a checkpoint may be made of, beside PyTorch's own: a list for ``torch.load(..., weights_only=True)``.

What ``weights_only`` allows, a file may call with any arguments, and put anything into. So nothing is on the list by
which one gets at something else.
"""

import re
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals


class RefusedError(Exception):
    """The file asks for more than a checkpoint needs."""


# Stand-ins for what numpy pickles. Its own take a dtype's flags and an array's memory from the file as they are, and a
# file can have them take any bytes for addresses of objects.
class _Dtype:
    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        if not (isinstance(code, str) and re.fullmatch(r'b1|[iufcSU]\d{1,9}', code)):
            raise RefusedError(f'has an array of {code!r}; only numbers and strings are taken')
        self.value = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        value = self.value.newbyteorder(state[1])
        if value.__reduce__()[2] != state:
            raise RefusedError(f'has an array of {value} that is not like numpy makes them')
        self.value = value


class _Array:
    value = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, by_columns, data = state
        if not (isinstance(dtype, _Dtype) and isinstance(data, bytes)):
            raise RefusedError('has an array of objects; only numbers and strings are taken')
        self.value = np.ndarray(shape, dtype.value, data, order='F' if by_columns else 'C').copy(order='K')


class _OneCycle:
    """In the place of the scheduler's class, which a checkpoint names for one of two functions."""


METHODS = {
    **{(HistoryBuffer, name): getattr(HistoryBuffer, name) for name in ('min', 'max', 'current', 'mean')},
    **{(_OneCycle, name): getattr(OneCycleParamScheduler, name) for name in ('_annealing_cos', '_annealing_linear')},
}


def _method(owner: type, name: str) -> Callable:
    if (owner, name) not in METHODS:
        raise RefusedError(f'asks for {getattr(owner, "__name__", owner)}.{name}')
    return METHODS[owner, name]


def _no_bytes() -> bytes:
    """Bytes come as encoded text, but for none at all: those of an empty array."""
    return b''


def _named(name: str, part: Any) -> Any:
    """Give a class or function the name that files have for it; ``weights_only`` finds it by ``__module__``."""
    part.__module__, _, part.__name__ = name.rpartition('.')
    part.__qualname__ = part.__name__
    return part


def _of_numpy(module: str) -> list[Callable]:
    def scalar(dtype: _Dtype, data: bytes) -> np.generic:
        array = _Array()
        array.__setstate__((1, (), dtype, False, data))
        return array.value[()]

    def reconstruct(kind: type, shape: tuple, code: bytes) -> _Array:
        if kind is not _Array:
            raise RefusedError(f'has an array that is a {kind}')
        return _Array()

    return [_named(f'{module}.scalar', scalar), _named(f'{module}._reconstruct', reconstruct)]


# Beside tensors, containers, numbers and strings: what mmengine puts into a checkpoint of training, and the arguments
# of a command line, which other repositories put beside their weights.
ALLOWED = [
    HistoryBuffer,
    Namespace,
    _named('builtins.getattr', _method),
    _named('builtins.bytes', _no_bytes),
    _named('mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler', _OneCycle),
    _named('numpy.dtype', _Dtype),
    _named('numpy.ndarray', _Array),
    *_of_numpy('numpy.core.multiarray'),  # up to numpy 1.26
    *_of_numpy('numpy._core.multiarray'),
]


@contextmanager
def only_these_values() -> Iterator[None]:
    """Within the block ``weights_only`` allows ``ALLOWED``, and nothing that others have added."""
    before = get_safe_globals()
    clear_safe_globals()
    add_safe_globals(ALLOWED)
    try:
        yield
    finally:
        clear_safe_globals()
        add_safe_globals(before)


def without_stand_ins(value: Any, seen: set[int] | None = None) -> Any:
    """The value, changed in place where it can be, with numpy's arrays and dtypes in the places of their stand-ins."""
    if isinstance(value, (_Array, _Dtype)):
        return value.value
    seen = set() if seen is None else seen
    if id(value) in seen:
        return value
    if isinstance(value, tuple):
        parts = [without_stand_ins(part, seen) for part in value]
        return value if all(a is b for a, b in zip(parts, value, strict=True)) else tuple(parts)
    if isinstance(value, (dict, list, HistoryBuffer, Namespace)):
        seen.add(id(value))
        inside = vars(value) if isinstance(value, (HistoryBuffer, Namespace)) else value
        for key, part in list(enumerate(inside) if isinstance(inside, list) else inside.items()):
            inside[key] = without_stand_ins(part, seen)
    return value
