"""Repetitions, as recurrence rules: `every 2 weeks`, `every last friday`, `monthly`."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

from taskflow.domain.quick_add.dates import find_bare_day, find_month_day
from taskflow.domain.quick_add.tokens import Tokens
from taskflow.domain.quick_add.vocabulary import (
    DAY_PARTS,
    LAST,
    ORDINALS,
    WEEKDAYS,
    DayPart,
    Match,
    Moment,
    may_end,
    number,
    ordinal,
)
from taskflow.domain.recurrence.rule import WEEKDAYS as CODES
from taskflow.domain.recurrence.rule import Frequency

T = TypeVar("T")

_INTERVAL_MAX = 999
_MONTH_MAX_DAYS = 31
_MONTH_MAX_WEEKS = 5
_MONTH_MIN_WORKDAYS = 20


@dataclass(frozen=True, slots=True)
class Repetition:
    """How a task recurs.

    `selection` are the BY parts of the rule; without any, it goes by the day it begins on. `part`
    is the part of the day that was said with it.
    """

    frequency: Frequency
    interval: int = 1
    selection: str = ""
    part: DayPart | None = None
    is_after_completion: bool = False

    def rule(self, *ends: str, interval: int | None = None) -> str:
        """Return the rule (RFC 5545), with the parts that end it."""
        every = self.interval if interval is None else interval
        intervals = [f"INTERVAL={every}"] if every > 1 else []
        selections = [self.selection] if self.selection else []
        return ";".join([f"FREQ={self.frequency}", *intervals, *selections, *ends])


@dataclass(frozen=True, slots=True)
class RepetitionEnd:
    """When a repetition ends: on a day, or after so many times."""

    until: date | None = None
    count: int | None = None

    @property
    def rule_part(self) -> str:
        """The part of the rule that says so."""
        return f"COUNT={self.count}" if self.until is None else f"UNTIL={self.until:%Y%m%d}"


_DAILY = Repetition(Frequency.DAILY)
_WEEKLY = Repetition(Frequency.WEEKLY)
_MONTHLY = Repetition(Frequency.MONTHLY)
_YEARLY = Repetition(Frequency.YEARLY)
_QUARTERLY = Repetition(Frequency.MONTHLY, 3)
_WEEKDAYS = "MO,TU,WE,TH,FR"
_ON_WEEKDAYS = replace(_WEEKLY, selection=f"BYDAY={_WEEKDAYS}")
_ON_WEEKENDS = replace(_WEEKLY, selection="BYDAY=SA,SU")

_ADVERBS: Mapping[str, Repetition] = {
    "daily": _DAILY,
    "everyday": _DAILY,
    "weekly": _WEEKLY,
    "monthly": _MONTHLY,
    "quarterly": _QUARTERLY,
    "yearly": _YEARLY,
    "annually": _YEARLY,
}
_UNITS: Mapping[str, Repetition] = {
    name: repetition
    for unit, repetition in (
        ("day", _DAILY),
        ("week", _WEEKLY),
        ("month", _MONTHLY),
        ("quarter", _QUARTERLY),
        ("year", _YEARLY),
    )
    for name in (unit, f"{unit}s")
}
_GROUPS = {
    "weekday": _ON_WEEKDAYS,
    "workday": _ON_WEEKDAYS,
    "weekend": _ON_WEEKENDS,
}
_WORKDAYS = frozenset({"weekday", "workday"})
_TIMES = frozenset({"time", "times"})
_JOINED = re.compile(r"[,/&]")


def find_repetition(tokens: Tokens, index: int) -> Match[Repetition] | None:
    """Read how often something recurs, with the part of the day after it."""
    word = tokens.lower(index)
    if word in _ADVERBS:
        return Match(_ADVERBS[word], index + 1) if may_end(tokens, index + 1) else None
    if word != "every":
        return None
    is_after_completion = tokens.lower(index + 1) == "!"
    at = index + 1 + is_after_completion
    found = _every(tokens, at)
    if found is None:
        return None
    repetition = replace(found.value, is_after_completion=is_after_completion)
    part = DAY_PARTS.get(tokens.lower(found.end))
    if part is None or repetition.part is not None:
        return Match(repetition, found.end)
    return Match(replace(repetition, part=part), found.end + 1)


def find_end(tokens: Tokens, index: int, moment: Moment) -> Match[RepetitionEnd] | None:
    """Read when a repetition ends: `until 24 Dec`, `for 10 times`."""
    word = tokens.lower(index)
    if word in {"until", "till"}:
        day = find_bare_day(tokens, index + 1, moment, is_led=True)
        return None if day is None else Match(RepetitionEnd(until=day.value.on), day.end)
    if word == "for" and tokens.lower(index + 2) in _TIMES:
        count = number(tokens.lower(index + 1))
        return None if count is None else Match(RepetitionEnd(count=count), index + 3)
    return None


def _every(tokens: Tokens, index: int) -> Match[Repetition] | None:
    word = tokens.lower(index)
    if word in DAY_PARTS:
        return Match(replace(_DAILY, part=DAY_PARTS[word]), index + 1)
    if word in _GROUPS:
        return Match(_GROUPS[word], index + 1)
    return (
        _in_month(tokens, index)
        or _interval(tokens, index)
        or _weekdays(tokens, index)
        or _in_year(tokens, index)
    )


def _interval(tokens: Tokens, index: int) -> Match[Repetition] | None:
    """Read `day`, `2 weeks`, `3rd month`, `other day`, `other monday`."""
    word = tokens.lower(index)
    if word in _UNITS:
        return _every_so_many(tokens, index, 1)
    if word == "other":
        return _every_so_many(tokens, index + 1, 2)
    count = number(word) or ordinal(word) or ORDINALS.get(word)
    if not count or count > _INTERVAL_MAX or tokens.lower(index + 1) not in _UNITS:
        return None
    if tokens.lower(index + 2) == "of":
        # The 45th day of something is no interval.
        return None
    return _every_so_many(tokens, index + 1, count)


def _every_so_many(tokens: Tokens, index: int, count: int) -> Match[Repetition] | None:
    """Read a unit, and on which of its days; or weekdays of every so many weeks."""
    weekdays = _weekdays(tokens, index)
    if weekdays is not None:
        return Match(replace(weekdays.value, interval=count), weekdays.end)
    unit = _UNITS.get(tokens.lower(index))
    if unit is None:
        return None
    repetition = replace(unit, interval=unit.interval * count)
    if tokens.lower(index + 1) == "on":
        on = None
        match unit.frequency:
            case Frequency.WEEKLY:
                on = _weekdays(tokens, index + 2)
            case Frequency.MONTHLY:
                on = _in_month(tokens, index + 2)
            case Frequency.YEARLY:
                on = _in_year(tokens, index + 2)
            case Frequency.DAILY:
                pass
        if on is not None:
            return Match(replace(repetition, selection=on.value.selection), on.end)
    return Match(repetition, index + 1)


def _weekdays(tokens: Tokens, index: int) -> Match[Repetition] | None:
    found = _list(tokens, index, WEEKDAYS.get)
    if found is None:
        return None
    codes = ",".join(CODES[weekday] for weekday in sorted(set(found.value)))
    return Match(replace(_WEEKLY, selection=f"BYDAY={codes}"), found.end)


def _in_month(tokens: Tokens, index: int) -> Match[Repetition] | None:
    """Read `15th`, `1st and 15th`, `first monday`, `last day`, each with `of the month`."""
    at = index + (tokens.lower(index) == "the")
    word, next_word = tokens.lower(at), tokens.lower(at + 1)
    place = -1 if word == LAST else ORDINALS.get(word) or ordinal(word)
    if not place:
        return None
    after = _of_the_month(tokens, at + 2)
    selection, end = "", after or at + 2
    if next_word in WEEKDAYS and place <= _MONTH_MAX_WEEKS:
        selection = f"BYDAY={place}{CODES[WEEKDAYS[next_word]]}"
    elif next_word in _WORKDAYS and place <= _MONTH_MIN_WORKDAYS:
        selection = f"BYDAY={_WEEKDAYS};BYSETPOS={place}"
    elif next_word == "day" and (place == -1 or (after and place <= _MONTH_MAX_DAYS)):
        selection = f"BYMONTHDAY={place}"
    elif next_word not in {*_UNITS, *WEEKDAYS, *_WORKDAYS}:
        days = _list(tokens, at, _month_day)
        if days is not None:
            numbers = ",".join(str(day) for day in sorted(set(days.value)))
            selection = f"BYMONTHDAY={numbers}"
            end = _of_the_month(tokens, days.end) or days.end
    return Match(replace(_MONTHLY, selection=selection), end) if selection else None


def _in_year(tokens: Tokens, index: int) -> Match[Repetition] | None:
    found = find_month_day(tokens, index + (tokens.lower(index) == "the"))
    if found is None:
        return None
    month, day = found.value
    return Match(replace(_YEARLY, selection=f"BYMONTH={month};BYMONTHDAY={day}"), found.end)


def _of_the_month(tokens: Tokens, index: int) -> int | None:
    """Return the index after `of the month` or `of each month`, None where that is not there."""
    is_there = tokens.lower(index) == "of" and tokens.lower(index + 2) == "month"
    return index + 3 if is_there and tokens.lower(index + 1) in {"the", "each", "every"} else None


def _month_day(word: str) -> int | None:
    day = ordinal(word)
    return day if day is not None and 1 <= day <= _MONTH_MAX_DAYS else None


def _list(tokens: Tokens, index: int, read: Callable[[str], T | None]) -> Match[Sequence[T]] | None:
    """Read one or more of something, with spaces, commas, `and`, `&` or `/` between them."""
    found: list[T] = []
    at = end = index
    while True:
        read_now = [read(each) for each in _JOINED.split(tokens.lower(at))]
        items = [each for each in read_now if each is not None]
        if len(items) < len(read_now):
            break
        found += items
        at = end = at + 1
        at += tokens.lower(at) == ","
        at += tokens.lower(at) in {"and", "&"}
    return Match(found, end) if found else None
