"""Reminders: `remind 1h before`, `remind me at 8:30`, `remind tomorrow 9:00`."""

from dataclasses import dataclass

from taskflow.domain.quick_add.clock_times import ClockTime, find_clock_time
from taskflow.domain.quick_add.dates import Day, find_bare_day, find_day
from taskflow.domain.quick_add.tokens import Tokens
from taskflow.domain.quick_add.vocabulary import Match, Moment, amount
from taskflow.domain.reminders import BEFORE_DUE_MAX
from taskflow.domain.times import Duration


@dataclass(frozen=True, slots=True)
class ReminderPhrase:
    """When to remind: so long before the due date, or on a day, at a time, or both."""

    before_due: Duration | None = None
    day: Day | None = None
    clock: ClockTime | None = None


def find_reminder(tokens: Tokens, index: int, moment: Moment) -> Match[ReminderPhrase] | None:
    """Read a reminder."""
    if tokens.lower(index) not in {"remind", "reminder"}:
        return None
    at = index + 1
    at += tokens.lower(at) == "me"
    return _before_due(tokens, at) or _at_a_time(tokens, at, moment)


def _before_due(tokens: Tokens, index: int) -> Match[ReminderPhrase] | None:
    length = amount(tokens, index)
    if length is None or length.value.months or tokens.lower(length.end) != "before":
        return None
    before_due = Duration(length.value.days, length.value.seconds)
    if before_due.nominal_s > BEFORE_DUE_MAX.nominal_s:
        return None
    return Match(ReminderPhrase(before_due), length.end + 1)


def _at_a_time(tokens: Tokens, index: int, moment: Moment) -> Match[ReminderPhrase] | None:
    day = find_day(tokens, index, moment) or find_bare_day(tokens, index, moment, is_led=True)
    clock = None
    if day is None or not day.value.has_time:
        clock = find_clock_time(tokens, index if day is None else day.end)
    if clock is not None and day is None:
        day = find_day(tokens, clock.end, moment)
        if day is not None and day.value.has_time:
            day = None
    ends = [each.end for each in (day, clock) if each is not None]
    if not ends:
        return None
    phrase = ReminderPhrase(day=day and day.value, clock=clock and clock.value)
    return Match(phrase, max(ends))
