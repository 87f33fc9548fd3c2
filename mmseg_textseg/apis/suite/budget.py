"""How long each run of a suite trains: iterations, epochs or time, the same for all."""

import re
from typing import NamedTuple

from ..config import ConfigError

UNITS = {
    'it': ('iterations', 1),
    'ep': ('epochs', 1),
    's': ('seconds', 1),
    'min': ('seconds', 60),
    'h': ('seconds', 3600),
}
EXPECTED = 'expected iterations (800it), epochs (5ep) or time (90s, 2min, 1h)'


class Budget(NamedTuple):
    """An amount of training; ``unit``: ``'iterations'``, ``'epochs'`` or ``'seconds'``."""

    amount: float
    unit: str

    def __str__(self) -> str:
        return f'{self.amount:g} {self.unit}'


def parse_budget(text: str) -> Budget:
    """``'800it'``, ``'5ep'``, ``'90s'``, ``'2min'``, ``'1h'``.

    Raises:
        ConfigError: anything else, nothing, or half an iteration.
    """
    found = re.fullmatch(r'(\d+(?:\.\d+)?)\s*(it|ep|s|min|h)', text.strip())
    if found is None:
        raise ConfigError(f'--budget {text!r}: {EXPECTED}')
    unit, factor = UNITS[found[2]]
    amount = float(found[1]) * factor
    if amount == 0 or (unit == 'iterations' and not amount.is_integer()):
        raise ConfigError(f'--budget {text!r}: {EXPECTED}, more than none, iterations whole')
    return Budget(amount, unit)


def parse_seeds(text: str) -> tuple[int, ...]:
    """``'3'``: 0, 1, 2. ``'0,7,9'``: these; ``'7,'``: this one.

    Raises:
        ConfigError: no numbers from 0 on, none, or one twice.
    """
    parts = [part.strip() for part in text.split(',') if part.strip()]
    if not parts or not all(part.isdecimal() for part in parts):
        raise ConfigError(f'--seeds {text!r}: expected how many (3) or which (0,7,9; a single one: 7,)')
    numbers = tuple(map(int, parts))
    seeds = numbers if ',' in text else tuple(range(numbers[0]))
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f'--seeds {text!r}: expected at least one seed, and none twice')
    return seeds


def count_iterations(budget: Budget, per_epoch: int, seconds: float | None) -> int:
    """Iterations that a budget pays for, at least one.

    Args:
        budget: of a run.
        per_epoch: iterations of an epoch.
        seconds: of an iteration, as measured; needed for a budget of time alone.
    """
    if budget.unit == 'seconds':
        return max(1, int(budget.amount / seconds))
    return max(1, round(budget.amount * (per_epoch if budget.unit == 'epochs' else 1)))
