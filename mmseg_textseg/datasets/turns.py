"""The seven flips and right-angle rotations of a picture.

Names are those of mmcv's ``imflip`` and of ``np.rot90``. With the clock's minutes as angles (0 up, 180 right, 360 down,
540 left) a turn takes the angle ``t`` to ``sign * t + offset``; mirrors have the sign -1.
"""

_TURNS = {
    'horizontal': (-1, 0),
    'vertical': (-1, 360),
    'diagonal': (1, 360),  # both axes, which is half a turn
    'rot90': (1, 540),  # counter-clockwise
    'rot270': (1, 180),
    'transpose': (-1, 540),
    'antitranspose': (-1, 180),
}
_ALIASES = {'rot180': 'diagonal'}
ANGLES = dict(upper=0, right=180, lower=360, left=540)
_DIRECTIONS = {angle: direction for direction, angle in ANGLES.items()}
TURNS = tuple(_TURNS)
QUARTER_TURNS = frozenset(name for name, (_, offset) in _TURNS.items() if offset % 360)
MIRRORS = frozenset(name for name, (sign, _) in _TURNS.items() if sign < 0)


def canonical_turn(turn: str) -> str:
    """The one name of a turn: ``'rot180'`` is ``'diagonal'``.

    Raises:
        ValueError: for an unknown turn.
    """
    turn = _ALIASES.get(turn, turn)
    if turn not in _TURNS:
        raise ValueError(f'turn is {turn!r}; expected one of {", ".join([*_TURNS, *_ALIASES])}')
    return turn


def compose_turns(*turns: str | None) -> str | None:
    """The turn that several make, the first first; None is no turn."""
    sign, offset = 1, 0
    for turn in turns:
        if turn is not None:
            then, by = _TURNS[canonical_turn(turn)]
            sign, offset = sign * then, (then * offset + by) % 720
    return next((name for name, value in _TURNS.items() if value == (sign, offset)), None)


def inverse_turn(turn: str) -> str:
    """The turn that undoes ``turn``."""
    turn = canonical_turn(turn)
    return {'rot90': 'rot270', 'rot270': 'rot90'}.get(turn, turn)


def turn_angle(minutes: int, turn: str) -> int:
    """Where the angle ``minutes`` points after the turn, 0 to 719."""
    sign, offset = _TURNS[canonical_turn(turn)]
    return (sign * minutes + offset) % 720


def turn_direction(direction: str, turn: str) -> str:
    """``'left'``, ``'right'``, ``'upper'`` or ``'lower'`` after the turn; any other word as it is."""
    return _DIRECTIONS[turn_angle(ANGLES[direction], turn)] if direction in ANGLES else direction
