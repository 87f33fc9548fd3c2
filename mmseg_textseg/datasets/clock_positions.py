"""Positions on a clock face: "at 3 o'clock", "10-11 o'clock", "at the 2:30 position"."""

import re

from .turns import ANGLES, MIRRORS, turn_angle

HOURS = ('twelve', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven')
_TIME = rf'(?:1[0-2]|0?[1-9]|{"|".join(HOURS)})(?::[0-5]\d)?'
_OCLOCK = r"[\s-]*o['\u2019`]?\s?clock"
_JOIN = r'(?:\s*(?:,|[-\u2013])\s*|\s*,?\s+(?:to|and|or|through)\s+)'
_BETWEEN = rf'\bbetween\s+(?:the\s+)?{_TIME}(?:{_OCLOCK})?\s+and\s+(?:the\s+)?{_TIME}'
CLOCK = re.compile(
    rf'{_BETWEEN}{_OCLOCK}\b|(?<![\w:.]){_TIME}(?:(?:{_OCLOCK})?{_JOIN}{_TIME})*{_OCLOCK}\b'
    rf'|(?<![\w:.])(?:1[0-2]|0?[1-9]):[0-5]\d(?=\s+position\b)',
    re.IGNORECASE,
)
_ONE_TIME = re.compile(rf'\b{_TIME}\b', re.IGNORECASE)
_RANGE = re.compile(
    rf'{_BETWEEN}|\b{_TIME}(?:(?:{_OCLOCK})?\s*(?:-|\u2013|\bto\b|\bthrough\b)\s*{_TIME})+\b', re.IGNORECASE
)


def clock_sides(words: str) -> frozenset[str]:
    """The one or two sides nearest to each position: ``{'upper', 'right'}`` for "2 o'clock"."""
    return frozenset(
        side
        for time in _ONE_TIME.findall(words)
        for side, angle in ANGLES.items()
        if abs((_minutes(time) - angle + 360) % 720 - 360) < 180
    )


def turn_clock(words: str, turn: str) -> str:
    """The positions after the turn, in the same style; ranges keep running clockwise."""

    def turned(match: re.Match) -> str:
        time = match[0]
        hour, minutes = divmod(turn_angle(_minutes(time), turn), 60)
        if time[0].isalpha():
            new = HOURS[hour] + (f':{minutes:02d}' if ':' in time else '')
            return new.upper() if time.isupper() else new.capitalize() if time[0].isupper() else new
        digits = f'{hour or 12:0{2 if time.startswith("0") else 1}d}'
        return f'{digits}:{minutes:02d}' if ':' in time else digits

    words = _ONE_TIME.sub(turned, words)
    return _RANGE.sub(_backwards, words) if turn in MIRRORS else words


def _backwards(match: re.Match) -> str:
    """A range from its end to its start."""
    times = _ONE_TIME.findall(match[0])
    return _ONE_TIME.sub(lambda _: times.pop(), match[0])


def _minutes(time: str) -> int:
    hour, _, minutes = time.lower().partition(':')
    return (HOURS.index(hour) if hour.isalpha() else int(hour)) * 60 % 720 + int(minutes or 0)
