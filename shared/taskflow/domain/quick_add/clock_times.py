"""Times of day: `9:00`, `9am`, `at 17`, `noon`, `midnight`."""

import re
from dataclasses import dataclass
from datetime import time

from taskflow.domain.quick_add.tokens import Tokens
from taskflow.domain.quick_add.vocabulary import (
    NOT_UNDERSTOOD_AFTER,
    DayPart,
    Match,
    may_end,
)

_NOON = 12
_HOURS = 24
_MINUTES = 60
_NIGHT_ENDS = 6
"""`tonight at 5` is in the small hours of the next day, `tonight at 6` is in the evening."""

_CLOCK = re.compile(r"(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-9]{2}))?(?P<half>[ap]\.?m)?")
_HALF = re.compile(r"[ap]\.?m")
_NAMED = {"noon": time(12), "midnight": time(0)}


@dataclass(frozen=True, slots=True)
class ClockTime:
    """A time of day as it was said; `is_exact` where it says which half of the day it is in."""

    at: time
    is_exact: bool = False
    is_midnight: bool = False

    def in_part(self, part: DayPart | None) -> tuple[int, time]:
        """Return the time in a part of a day, and how many days later it is: 0 or 1."""
        hour = self.at.hour
        if part is DayPart.NIGHT and (hour < _NIGHT_ENDS or self._is_twelve):
            return 1, self.at.replace(hour=hour % _NOON)
        if part in {None, DayPart.MORNING} or self.is_exact or hour >= _NOON:
            return 0, self.at
        return 0, self.at.replace(hour=hour + _NOON)

    @property
    def _is_twelve(self) -> bool:
        return self.at.hour == _NOON and not self.is_exact


def find_clock_time(tokens: Tokens, index: int) -> Match[ClockTime] | None:
    """Read a time of day, with the `at` or `by` before it."""
    has_at = tokens.lower(index) == "at"
    is_led = has_at or tokens.lower(index) == "by"
    if not is_led and tokens.lower(index - 1) in NOT_UNDERSTOOD_AFTER:
        return None
    at = index + is_led
    word = tokens.lower(at)
    if word in _NAMED:
        if not (is_led or may_end(tokens, at + 1)):
            return None
        return Match(ClockTime(_NAMED[word], is_exact=True, is_midnight=word == "midnight"), at + 1)
    found = _CLOCK.fullmatch(word)
    if found is None:
        return None
    half, end = found["half"], at + 1
    if half is None and _HALF.fullmatch(tokens.lower(end)):
        half, end = tokens.lower(end), end + 1
    if half and "." in half and tokens.lower(end) == ".":
        end += 1
    if half is None and found["minute"] is None:
        is_oclock = tokens.lower(end) in {"o'clock", "o’clock"}
        end += is_oclock
        if not is_oclock and not (has_at and may_end(tokens, end)):
            return None
    clock = _time(int(found["hour"]), int(found["minute"] or 0), half)
    return None if clock is None else Match(clock, end)


def _time(hour: int, minute: int, half: str | None) -> ClockTime | None:
    if minute >= _MINUTES:
        return None
    if half is None:
        return ClockTime(time(hour, minute)) if hour < _HOURS else None
    if not 1 <= hour <= _NOON:
        return None
    afternoon = _NOON if half.startswith("p") else 0
    return ClockTime(time(hour % _NOON + afternoon, minute), is_exact=True)
